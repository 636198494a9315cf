"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);

/* Tables sort by a click on a heading; cells without a number stay last. */
for (const table of all("table.sortable")) {
  all("thead th", table).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((one, two) => {
        const [a, b] = [key(one), key(two)];
        if (a === "" || b === "") return (a === "") - (b === "");
        const numbers = [Number(a), Number(b)];
        const order = numbers.some(Number.isNaN) ? a.localeCompare(b, "en", { numeric: true }) : numbers[0] - numbers[1];
        return sign * order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

/* Curves: a legend that hides runs, and a pointer that picks one out. */
for (const button of all(".legend button")) {
  const lines = () => all(`.line[data-run="${button.dataset.run}"]`);
  const focus = (on) => {
    all(".chart").forEach((chart) => chart.classList.toggle("focused", on));
    lines().forEach((line) => line.classList.toggle("bright", on));
  };
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    lines().forEach((line) => line.classList.toggle("hidden", !shown));
    focus(false);
  });
  button.addEventListener("pointerenter", () => focus(button.getAttribute("aria-pressed") === "true"));
  button.addEventListener("pointerleave", () => focus(false));
}

/* The slider shows the pictures of the tables below it: nothing is stored twice. */
const stage = byId("stage");
if (stage) {
  const rows = all("table.grid tr");
  const [left, right, photo, divider] = ["left", "right", "photo", "divider"].map(byId);
  const option = (text, value) => Object.assign(document.createElement("option"), { textContent: text, value });
  const gridOf = (row) => row.closest("table");
  const pictures = (row) => all("img", row);
  rows.forEach((row, i) => {
    left.append(option(row.dataset.name, i));
    if (!row.classList.contains("sources")) right.append(option(row.dataset.name, i));
  });
  const refill = () => {
    const many = pictures(rows[right.value]).length;
    const kept = Math.min(Number(photo.value) || 0, many - 1);
    photo.replaceChildren(...Array.from({ length: many }, (_, i) => option(String(i + 1), i)));
    photo.value = kept;
  };
  const show = () => {
    /* Two directions have two sets of pictures: the left side follows the right. */
    if (gridOf(rows[left.value]) !== gridOf(rows[right.value])) left.value = rows.indexOf(gridOf(rows[right.value]).rows[0]);
    refill();
    for (const [image, row, tag] of [["before", rows[left.value], "tag-left"], ["after", rows[right.value], "tag-right"]]) {
      const source = pictures(row)[photo.value];
      byId(image).src = source.src;
      byId(image).alt = source.alt;
      byId(tag).textContent = row.dataset.name;
    }
    const shape = byId("after");
    shape.decode().then(() => { stage.style.aspectRatio = `${shape.naturalWidth} / ${shape.naturalHeight}`; }, () => {});
  };
  const turn = (by) => {
    const many = photo.options.length;
    photo.value = (Number(photo.value) + by + many) % many;
    show();
  };
  divider.addEventListener("input", () => stage.style.setProperty("--at", `${divider.value}%`));
  [left, right, photo].forEach((choice) => choice.addEventListener("change", show));
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  for (const button of all(".grid button")) {
    button.addEventListener("click", () => {
      const row = button.closest("tr");
      if (row.classList.contains("sources")) left.value = rows.indexOf(row);
      else right.value = rows.indexOf(row);
      if (row.classList.contains("sources") && gridOf(rows[right.value]) !== gridOf(row)) right.value = rows.indexOf(gridOf(row).rows[1]);
      refill();
      photo.value = button.parentElement.cellIndex - 1;
      show();
      byId("compare").scrollIntoView({ block: "nearest" });
    });
  }
  show();
}
