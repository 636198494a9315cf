// What the visitor sees and does. Painting is the worker's.
import { Camera } from "./camera.js";
import { Client } from "./client.js";

const $ = (id) => document.getElementById(id);
const show = (...ids) => ids.forEach((id) => { $(id).hidden = false; });
const hide = (...ids) => ids.forEach((id) => { $(id).hidden = true; });
$("not-served").remove(); // scripts run, so this page was served

let manifest, client, camera, source = null, job = 0, tile, painted = null, retries = 0, blending = false;
const network = () => manifest.networks[$("network").selectedIndex];
const strength = () => ($("strength-field").hidden ? 1 : Number($("strength").value));
const count = (n) => n.toLocaleString("en");
const seconds = (s) => (s < 1 ? "under a second" : s < 10 ? `${s.toFixed(1)} s` : s < 90 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`);

function say(id, text) { $(id).textContent = text; $(id).hidden = !text; }
function working(text, share) {
  show("working");
  say("stage", text);
  if (share === null) $("progress").removeAttribute("value"); else $("progress").value = share;
}

// What the worker says ------------------------------------------------------------------------------------

const hearers = {
  loading({ text, share }) { working(`${text}…`, share); },
  ready({ backend, threads, asked }) {
    const words = { webgpu: "On the graphics card.", wasm: `On the processor, ${threads === 1 ? "one thread" : `${threads} threads`}.` };
    say("backend-now", (asked === "webgpu" && backend === "wasm" ? "No WebGPU here. " : "") + words[backend]);
    document.documentElement.dataset.backend = backend;
    if (!source) hide("working");
  },
  decoded(told) {
    if (told.job !== job) return;
    const photo = new ImageData(new Uint8ClampedArray(told.buffer), told.width, told.height);
    for (const id of ["before", "after"]) {
      Object.assign($(id), { width: told.width, height: told.height });
      $(id).getContext("2d").putImageData(photo, 0, 0);
    }
    hide("welcome", "live");
    show("compare", "another", "camera-again");
    $("drop").classList.add("filled");
    const size = `${told.width} × ${told.height}`, shrunk = told.width !== told.full[0] || told.height !== told.full[1];
    const why = told.limited ? "This style has to see the whole picture at once, and there is no memory for more." : "Choose a larger painted size for more detail.";
    say("note", [
      shrunk ? `Your picture of ${told.full.join(" × ")} pixels was shrunk to ${size} for painting. ${why}` : "",
      told.tiles > 1 ? `Painted in ${told.tiles} tiles that join without a seam.` : "",
    ].filter(Boolean).join(" "));
    painted = { width: told.width, height: told.height, tiles: told.tiles };
    working(told.tiles > 1 ? `Painting, 0 of ${told.tiles} tiles…` : "Painting…", told.tiles > 1 ? 0 : null);
  },
  tile(told) {
    if (told.job !== job) return;
    const part = new Uint8ClampedArray(told.buffer);
    $("after").getContext("2d").putImageData(new ImageData(part, told.width, part.length / 4 / told.width), told.x, told.y);
    if (told.total > 1) working(`${told.done} of ${told.total} tiles, ${seconds(told.left)} left`, told.done / told.total);
  },
  painted(told) {
    if (told.job !== job) return;
    retries = 0;
    hide("working");
    show("download");
    $("download").textContent = `Download PNG, ${painted.width}\u00a0×\u00a0${painted.height}`;
    painted.done = true;
    say("tag-after", `Cartoon · ${seconds(told.seconds)}`);
    document.documentElement.dataset.painted = told.job; // for those who watch, tests among them
    blend();
  },
  blended(told) {
    blending = false;
    if (told.job !== job) return;
    $("after").getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(told.buffer), painted.width, painted.height), 0, 0);
    document.documentElement.dataset.strength = told.strength;
    if (told.strength !== strength()) blend();
  },
  frame({ width, height, buffer }) {
    if (!camera.on) return;
    hide("working");
    Object.assign($("frame"), { width, height });
    $("frame").getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(buffer), width, height), 0, 0);
    camera.done();
    say("fps", `${width} × ${height}${camera.fps ? ` · ${camera.fps.toFixed(1)} fps` : ""}`);
  },
  failed(told) {
    if (told.job && told.job !== job) return;
    if (told.kind === "gpu") return onProcessor();
    if (told.kind === "memory" && tile > 256 && retries < 3) return smaller();
    hide("working");
    if (told.kind === "memory") { say("error", "Not enough memory for this picture. Choose a smaller painted size, or close other tabs."); restart({ again: false }); }
    else say("error", told.kind === "other" ? `Painting failed: ${told.message}` : told.message);
    if (told.kind === "picture") source = null;
    if (told.during === "frame") stopCamera();
  },
};

function onProcessor() {
  retries += 1;
  say("note", "The graphics card could not go on; the processor does instead.");
  $("backend").value = "wasm";
  restart({ backend: "wasm", again: true });
}

function smaller() {
  retries += 1;
  tile = Math.max(256, tile / 2);
  restart({ again: true });
}

/** A new worker, and perhaps `again` what the last one was doing. */
function restart({ backend, again }) {
  client.start(backend);
  if (again && camera.on) camera.next();
  else if (again) paint();
}

// What the visitor does -----------------------------------------------------------------------------------

function take(file, name = file.name || "The picture") {
  if (camera.on) stopCamera();
  source = { file, name };
  retries = 0;
  tile = manifest.tile;
  paint();
}

function paint() {
  if (!source) return;
  job += 1;
  painted = null;
  blending = false;
  say("error", "");
  hide("download");
  say("tag-after", "Cartoon");
  const longest = $("size").value === "full" ? Infinity : Number($("size").value);
  client.send({ type: "paint", job, ...source, network: network(), longest, tile, strength: strength() });
}

function blend() {
  $("strength-value").textContent = `${Math.round(100 * $("strength").value)} %`;
  if (!painted?.done || blending) return;
  blending = true;
  client.send({ type: "blend", job, strength: strength() });
}

function stop() {
  if (camera.on) stopCamera();
  job += 1;
  retries = 0;
  hide("working");
  if (source) say("note", "Stopped. Choose a style or a size to paint again.");
  restart({ again: false }); // at once, in the middle of a tile
}

async function startCamera() {
  say("error", "");
  try { await camera.start(); }
  catch (error) { return say("error", error.message); }
  job += 1;
  client.send({ type: "cancel", job });
  source = painted = null;
  say("note", "");
  hide("welcome", "compare", "download", "another", "camera-again");
  show("live", "snap", "camera-stop");
  $("drop").classList.add("filled");
}

function stopCamera() {
  camera.stop();
  hide("live", "snap", "camera-stop", "working");
  show("welcome");
  $("drop").classList.remove("filled");
}

function download() {
  $("after").toBlob((blob) => {
    if (!blob) return say("error", "Not enough memory to write the PNG. Choose a smaller painted size.");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${source.name.replace(/\.[^.]*$/, "") || "photo"}_${network().id}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }, "image/png");
}

function style() {
  const { facts, filtered } = network();
  $("strength-field").hidden = !filtered;
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const term = document.createElement("dt"), words = document.createElement("dd");
    term.textContent = name;
    words.textContent = value;
    return [term, words];
  }));
}

function divide() {
  $("compare").style.setProperty("--at", `${$("divider").value}%`);
  $("tag-before").hidden = $("divider").value < 12;
  $("tag-after").hidden = $("divider").value > 88;
}

function dropped(data) {
  const file = [...(data?.files ?? [])][0];
  if (file) take(file);
  else say("error", "There was no picture in that. Drop or paste an image file.");
}

function listen() {
  $("file").onchange = ({ target }) => { if (target.files[0]) take(target.files[0]); target.value = ""; };
  addEventListener("paste", (event) => { event.preventDefault(); dropped(event.clipboardData); });
  addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  addEventListener("dragleave", () => $("drop").classList.remove("over"));
  addEventListener("drop", (event) => { event.preventDefault(); $("drop").classList.remove("over"); dropped(event.dataTransfer); });
  document.querySelectorAll(".camera-start").forEach((button) => { button.onclick = startCamera; });
  Object.assign($("camera-stop"), { onclick: stopCamera });
  $("snap").onclick = async () => { const file = await camera.snap(); take(file, "camera.png"); };
  $("stop").onclick = stop;
  $("download").onclick = download;
  $("network").onchange = () => { style(); if (!camera.on) paint(); };
  $("size").onchange = paint;
  $("backend").onchange = () => restart({ backend: $("backend").value, again: true });
  $("strength").oninput = blend;
  $("divider").oninput = divide;
}

async function begin() {
  const answer = await fetch("networks.json");
  if (!answer.ok) throw new Error(`networks.json is missing (${answer.status}): copy the whole folder to the server.`);
  manifest = await answer.json();
  document.title = $("title").textContent = manifest.title;
  $("made").textContent = `Made with toonlab ${manifest.toonlab}.`;
  $("network").replaceChildren(...manifest.networks.map(({ name }) => new Option(name)));
  const { sizes, size } = manifest;
  $("size").replaceChildren(...sizes.map((n) => new Option(`${count(n)} pixels`, n, n === size, n === size)), new Option("Full size", "full"));
  tile = manifest.tile;
  camera = new Camera($("video"), (bitmap) => client.send({ type: "frame", bitmap, network: network(), strength: strength() }, [bitmap]));
  camera.onlost = () => { stopCamera(); say("error", "The camera was taken away."); };
  client = new Client(manifest, (message) => hearers[message.type](message));
  const asked = new URLSearchParams(location.search).get("runs");
  if (["webgpu", "wasm"].includes(asked)) $("backend").value = asked;
  $("card").open = innerWidth > 820;
  style();
  listen();
  client.start($("backend").value);
  document.documentElement.dataset.loaded = "true";
}

begin().catch((error) => say("error", `This page cannot start: ${error.message}`));
