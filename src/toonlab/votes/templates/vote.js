"use strict";
const byId = (id) => document.getElementById(id);
const screens = ["name-form", "voting", "thanks"].map(byId);
const grid = byId("pictures");
const closely = byId("closely");
const CAPTION = 48; /* pixels below a picture: its button */
const GAP = 8;

let now = null; /* the question on the screen, as the server told it */
let ready = false; /* all its pictures are in sight */
let sending = false;
let since = 0;
let again = null; /* what "Try again" does */
let looking = 0; /* the picture in the close view; 0 is the photo */

const url = (token) => `/picture/${token}.png`;

async function ask(path, body) {
  const how = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, how);
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.error || answer.statusText), { status: answer.status });
  return told;
}

function show(screen) {
  screens.forEach((each) => { each.hidden = each !== screen; });
  if (screen !== byId("voting") && closely.open) closely.close();
}

function complain(text, retry) {
  byId("error").hidden = false;
  byId("error").firstElementChild.textContent = text;
  again = retry;
}

/* Run something that talks to the server; one thing at a time, so a second click waits for nothing and does nothing. */
async function talk(work) {
  if (sending) return;
  sending = true;
  enable();
  byId("error").hidden = true;
  try {
    present(await work());
  } catch (error) {
    if (error.status === 401) askName();
    else if (error.status === 400) complain(error.message, () => talk(() => ask("/api/question")));
    else if (error.status) complain(error.message, () => talk(work));
    else complain("The server does not answer. What you have picked so far is kept.", () => talk(work));
  } finally {
    sending = false;
    enable();
  }
}

function askName() {
  show(byId("name-form"));
  byId("name").focus();
}

function present(told) {
  if (told.stranger) { askName(); return; }
  now = told;
  if (told.finished) {
    byId("thanked").textContent = `, ${told.rater}`;
    byId("counted").textContent = `All ${told.total} of your answers are counted. You can close this page.`;
    show(byId("thanks"));
    byId("next-rater").focus();
    return;
  }
  show(byId("voting"));
  if (closely.open) closely.close();
  document.title = told.asked;
  byId("asked").textContent = told.asked;
  byId("count").textContent = `${told.number + 1} of ${told.total}`;
  byId("who").textContent = told.rater;
  byId("forward").hidden = told.number >= told.done;
  byId("last-key").textContent = told.pictures.length - 1;
  const bar = byId("progress");
  bar.setAttribute("aria-valuemax", told.total);
  bar.setAttribute("aria-valuenow", told.done);
  bar.firstElementChild.style.width = `${(100 * told.done) / told.total}%`;
  draw(told);
  if (told.changed) complain("You have answered this one in another window.", () => { byId("error").hidden = true; });
}

function draw(told) {
  ready = false;
  const figures = told.pictures.map((token, i) => {
    const figure = document.createElement("figure");
    const look = Object.assign(document.createElement("button"), { type: "button", className: "look" });
    const image = Object.assign(new Image(), { alt: i ? `Picture ${i}` : "The photo", draggable: false });
    look.setAttribute("aria-label", i ? `Look closely at picture ${i}` : "Look closely at the photo");
    look.append(image);
    look.addEventListener("click", () => lookAt(i));
    figure.append(look);
    if (i) {
      const choose = Object.assign(document.createElement("button"), { type: "button", className: "choose" });
      const key = Object.assign(document.createElement("kbd"), { textContent: i });
      choose.append(key, told.place === i - 1 ? "Picked" : "Pick this one");
      choose.setAttribute("aria-label", `Pick picture ${i}`);
      choose.setAttribute("aria-pressed", String(told.place === i - 1));
      choose.addEventListener("click", () => pick(i));
      figure.append(choose);
    } else {
      figure.append(Object.assign(document.createElement("figcaption"), { textContent: "Photo" }));
    }
    return { figure, image, token };
  });
  grid.replaceChildren(...figures.map((each) => each.figure));
  const seen = figures.map(({ image, token }) => new Promise((resolve, reject) => {
    image.addEventListener("load", resolve, { once: true });
    image.addEventListener("error", reject, { once: true });
    image.src = url(token);
  }));
  enable();
  Promise.all(seen).then(() => {
    if (now !== told) return;
    arrange();
    ready = true;
    since = performance.now();
    enable();
    for (const tokens of told.upcoming) for (const token of tokens) new Image().src = url(token);
  }, () => {
    if (now === told) complain("A picture did not arrive.", () => talk(() => ask(`/api/question?number=${told.number}`)));
  });
}

/* As large as the screen allows: the number of columns that makes the pictures largest. */
function arrange() {
  const images = [...grid.querySelectorAll("img")];
  if (!images.length || !images[0].naturalWidth) return;
  const aspect = images[0].naturalWidth / images[0].naturalHeight;
  const [width, height] = [grid.clientWidth, grid.clientHeight];
  let best = { wide: 0 };
  for (let columns = 1; columns <= images.length; columns++) {
    const rows = Math.ceil(images.length / columns);
    const room = [(width - GAP * (columns - 1)) / columns, (height - GAP * (rows - 1)) / rows - CAPTION];
    const wide = Math.min(room[0], room[1] * aspect);
    if (wide > best.wide) best = { wide, columns };
  }
  const wide = Math.max(best.wide, 40);
  grid.style.gridTemplateColumns = `repeat(${best.columns || 1}, ${Math.floor(wide)}px)`;
  for (const look of grid.querySelectorAll(".look")) look.style.height = `${Math.floor(wide / aspect)}px`;
}

function enable() {
  const can = ready && !sending;
  for (const button of grid.querySelectorAll(".choose")) button.disabled = !can;
  byId("pick").disabled = !can || looking === 0;
  byId("back").disabled = sending || !now || now.number === 0;
}

function pick(i) {
  if (!ready || sending || i < 1 || i >= now.pictures.length) return;
  const vote = { number: now.number, place: i - 1, replaces: now.replaces, milliseconds: Math.round(performance.now() - since) };
  talk(() => ask("/api/vote", vote));
}

function goBack() {
  if (now && now.number > 0) talk(() => ask(`/api/question?number=${now.number - 1}`));
}

function goForward() {
  if (now && now.number < now.done) talk(() => ask(`/api/question?number=${now.number + 1}`));
}

function lookAt(i) {
  if (!now || now.finished) return;
  looking = (i + now.pictures.length) % now.pictures.length;
  byId("large").src = url(now.pictures[looking]);
  byId("large").alt = byId("which").textContent = looking ? `Picture ${looking}` : "Photo";
  if (!closely.open) {
    full(false);
    closely.showModal();
  }
  enable();
}

function full(on) {
  byId("frame").classList.toggle("full", on);
  byId("size").setAttribute("aria-pressed", String(on));
}

/* Arrows walk over the buttons; from anywhere else they begin at the first, or the last. */
function walk(by) {
  const buttons = [...grid.querySelectorAll(".choose")];
  const at = buttons.indexOf(document.activeElement);
  buttons[at < 0 ? (by > 0 ? 0 : buttons.length - 1) : (at + by + buttons.length) % buttons.length]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  const key = event.key;
  if (!byId("thanks").hidden && key === "Backspace") { event.preventDefault(); goBack(); return; }
  if (byId("voting").hidden || event.repeat && !key.startsWith("Arrow")) return;
  const digit = /^[1-9]$/.test(key) ? Number(key) : 0;
  const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[key];
  if (digit) { event.preventDefault(); pick(digit); }
  else if (by && closely.open && !byId("frame").classList.contains("full")) { event.preventDefault(); lookAt(looking + by); }
  else if (by && !closely.open) { event.preventDefault(); walk(by); }
  else if (key === "Backspace" || key === "u") { event.preventDefault(); if (closely.open) closely.close(); else goBack(); }
  else if (key === "z") {
    const at = [...grid.querySelectorAll(".choose")].indexOf(document.activeElement);
    if (closely.open) closely.close(); else lookAt(at < 0 ? 0 : at + 1);
  }
});

byId("name-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("name-error").textContent = "";
  try {
    present(await ask("/api/rater", { name: byId("name").value }));
  } catch (error) {
    byId("name-error").textContent = error.status ? error.message : "The server does not answer. Is it still running?";
  }
});
const leave = () => ask("/api/leave", {}).then(() => { now = null; byId("name").value = ""; askName(); }, () => complain("The server does not answer.", leave));
byId("leave").addEventListener("click", leave);
byId("next-rater").addEventListener("click", leave);
byId("again").addEventListener("click", goBack);
byId("back").addEventListener("click", goBack);
byId("forward").addEventListener("click", goForward);
byId("retry").addEventListener("click", () => again && again());
byId("earlier").addEventListener("click", () => lookAt(looking - 1));
byId("later").addEventListener("click", () => lookAt(looking + 1));
byId("size").addEventListener("click", () => full(!byId("frame").classList.contains("full")));
byId("large").addEventListener("click", () => full(!byId("frame").classList.contains("full")));
byId("pick").addEventListener("click", () => pick(looking));
byId("close").addEventListener("click", () => closely.close());
window.addEventListener("resize", arrange);

talk(() => ask("/api/question"));
