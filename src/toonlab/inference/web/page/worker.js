// Decodes and paints, away from the page, which stays responsive.
import { Engine, Failure, hasGpu } from "./engine.js";
import { mixed, picture, place, planes } from "./pixels.js";
import { fitted, plan, whole } from "./tiles.js";

let engine, settings, done = null, wanted = 0, queue = Promise.resolve();
const tell = (type, more = {}, moved = []) => self.postMessage({ type, ...more }, moved);
const pause = () => new Promise((resolve) => setTimeout(resolve)); // messages get through

self.onmessage = ({ data }) => {
  if (data.type === "paint" || data.type === "cancel") wanted = data.job;
  queue = queue.then(() => ({ open, paint, blend, frame })[data.type]?.(data)).catch((error) => fail(error, data));
};

function fail(error, { job = 0, type }) {
  if (error instanceof Failure) return tell("failed", { job, during: type, kind: error.kind, message: error.message });
  const message = String(error?.message ?? error);
  const memory = /alloc|out of memory|memory access|OOM|Array buffer|too large|table index|Aborted/i.test(message) || typeof error === "number";
  tell("failed", { job, during: type, kind: memory ? "memory" : engine?.backend === "webgpu" ? "gpu" : "other", message });
}

async function open({ backend, manifest }) {
  if (typeof OffscreenCanvas === "undefined" || typeof DecompressionStream === "undefined") {
    throw new Failure("browser", "This browser is too old for this page. Update it, or use a current Chrome, Edge, Firefox or Safari.");
  }
  settings = manifest;
  const files = manifest.runtime.files;
  const possible = `ort/ort.webgpu.min.js` in files && backend !== "wasm" && (await hasGpu(backend === "webgpu"));
  engine = new Engine(possible ? "webgpu" : "wasm", files, (text, share) => tell("loading", { text, share }));
  engine.onlost = () => tell("failed", { job: wanted, during: "paint", kind: "gpu", message: "the graphics card was lost" });
  await engine.start();
  tell("ready", { backend: engine.backend, threads: engine.threads, asked: backend });
}

async function decoded(file, name) {
  if (file.size > settings.limits.file_megabytes * 1e6) {
    throw new Failure("picture", `${name} is too large: ${Math.round(file.size / 1e6)} MB, and this page takes at most ${settings.limits.file_megabytes} MB.`);
  }
  try { return await createImageBitmap(file, { imageOrientation: "from-image" }); }
  catch { throw new Failure("picture", `${name} cannot be read as a picture. Use a JPEG, PNG or WebP file, or another format that this browser shows.`); }
}

function pixels(bitmap, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) throw new Failure("memory", "no canvas of this size");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height).data;
}

async function paint({ job, file, name, network, longest, tile, strength }) {
  if (job !== wanted) return;
  tell("loading", { text: "Reading the picture", share: null });
  const bitmap = await decoded(file, name), full = [bitmap.width, bitmap.height];
  if (full[0] * full[1] > settings.limits.megapixels * 1e6) {
    bitmap.close();
    throw new Failure("picture", `${name} is too large: ${full[0]} × ${full[1]} pixels, and this page takes at most ${settings.limits.megapixels} million.`);
  }
  // A norm takes its statistics from the whole picture, so such a network cannot paint in tiles.
  const together = network.overlap === null, area = together ? settings.limits.whole_pixels * (tile / settings.tile) ** 2 : Infinity;
  const [width, height] = fitted(...full, longest, area);
  const photo = pixels(bitmap, width, height);
  bitmap.close();
  const tiles = together
    ? [whole(width, height)]
    : plan(height, width, { tile, overlap: network.overlap, multiple: network.multiple });
  const limited = together && Math.max(width, height) < Math.min(longest, Math.max(...full));
  const shown = photo.slice();
  tell("decoded", { job, width, height, full, tiles: tiles.length, limited, buffer: shown.buffer }, [shown.buffer]);
  done = null;
  const smooth = picture(width, height), raw = network.filtered ? picture(width, height) : null;
  await engine.session(network);
  tell("loading", { text: "Painting", share: tiles.length > 1 ? 0 : null });
  const began = performance.now();
  for (const [i, { x, y }] of tiles.entries()) {
    await pause();
    if (job !== wanted) return;
    const part = planes(photo, width, x.start, x.end, y.start, y.end);
    const painted = await engine.run(network, part, y.end - y.start, x.end - x.start, true);
    place(painted.smooth, { x, y }, smooth, width);
    if (raw) place(painted.raw, { x, y }, raw, width);
    const seconds = (performance.now() - began) / 1000;
    const piece = mixed(photo, raw, smooth, strength, width, { x, y });
    tell("tile", { job, x: x.from, y: y.from, width: x.to - x.from, buffer: piece.buffer, done: i + 1, total: tiles.length, left: (seconds / (i + 1)) * (tiles.length - i - 1) }, [piece.buffer]);
  }
  done = { job, photo, raw, smooth, width, height };
  tell("painted", { job, seconds: (performance.now() - began) / 1000 });
}

function blend({ job, strength }) {
  if (done?.job !== job) return;
  const { photo, raw, smooth, width, height } = done;
  const { buffer } = mixed(photo, raw, smooth, strength, width, whole(width, height));
  tell("blended", { job, strength, buffer }, [buffer]);
}

async function frame({ bitmap, network, strength }) {
  const { width, height } = bitmap, photo = pixels(bitmap, width, height), tile = whole(width, height);
  bitmap.close();
  const painted = await engine.run(network, planes(photo, width, 0, width, 0, height), height, width, strength < 1);
  const smooth = picture(width, height), raw = painted.raw && picture(width, height);
  place(painted.smooth, tile, smooth, width);
  if (raw) place(painted.raw, tile, raw, width);
  const { buffer } = mixed(photo, raw, smooth, strength, width, tile);
  tell("frame", { width, height, buffer }, [buffer]);
}
