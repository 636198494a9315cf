// ONNX Runtime Web and the networks of this folder. Nothing is fetched from anywhere else.
const HERE = import.meta.url;
const at = (path) => new URL(path, HERE).href;
const GLUE = { webgpu: "ort-wasm-simd-threaded.asyncify", wasm: "ort-wasm-simd-threaded" };

/** A failure with a `kind` that the page knows what to do about. */
export class Failure extends Error {
  constructor(kind, message) { super(message); this.kind = kind; }
}

/** Whether WebGPU is there; a graphics card that software pretends to be counts only if `any` does. */
export async function hasGpu(any) {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && (any || !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter));
  } catch { return false; }
}

async function fetched(path, size, told, integrity) {
  let answer;
  try { answer = await fetch(at(path), integrity ? { integrity } : {}); }
  catch (error) { throw new Failure("network", `${path} cannot be loaded, or is not the file that was exported (${error.message}). Copy the folder again.`); }
  if (!answer.ok) throw new Failure("network", `${path} is missing (${answer.status}): copy the whole folder to the server.`);
  const parts = [], reader = answer.body.getReader();
  let got = 0;
  for (;;) {
    let step;
    try { step = await reader.read(); }
    catch { throw new Failure("network", `${path}: the connection broke off. Try again.`); }
    if (step.done) break;
    parts.push(step.value);
    told(Math.min(1, (got += step.value.length) / size));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// A plain file server does not compress: the runtime lies here compressed, a quarter of its size.
async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer; // a server that unpacks .gz has done it
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

export class Engine {
  constructor(backend, files, told) { Object.assign(this, { backend, files, told, sessions: new Map() }); }

  async start() {
    const glue = GLUE[this.backend], packed = `ort/${glue}.wasm.gz`;
    const ort = await import(at(`ort/ort.${this.backend}.min.js`));
    const bytes = await fetched(packed, this.files[packed], (share) => this.told("Loading the runtime", share));
    // Threads need headers that a plain file server does not send.
    this.threads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = this.threads;
    ort.env.wasm.wasmPaths = { mjs: at(`ort/${glue}.js`) };
    ort.env.wasm.wasmBinary = await unpacked(bytes);
    this.ort = ort;
  }

  /** The session of a network; one is kept, because memory is short on phones. */
  async session(network) {
    if (this.sessions.has(network.id)) return this.sessions.get(network.id);
    for (const [id, old] of this.sessions) { this.sessions.delete(id); await old.release(); }
    const bytes = await fetched(network.file, network.bytes, (share) => this.told("Loading the style", share), network.integrity);
    this.told("Preparing the style", null);
    const session = await this.ort.InferenceSession.create(bytes, { executionProviders: [this.backend], graphOptimizationLevel: "all" });
    this.sessions.set(network.id, session);
    if (this.backend === "webgpu") {
      const device = await this.ort.env.webgpu.device;
      device?.lost.then((info) => { if (info.reason !== "destroyed" && !this.lost) { this.lost = true; this.onlost?.(); } });
    }
    return session;
  }

  /** Paint `(3, height, width)`: {smooth, raw}; raw is null where it is not asked for, or there is no filter. */
  async run(network, photo, height, width, wantsRaw) {
    const session = await this.session(network);
    const input = new this.ort.Tensor("float32", photo, [1, 3, height, width]);
    const names = network.filtered && wantsRaw ? ["filtered", "raw"] : ["cartoon"];
    const results = await session.run({ photo: input }, names);
    if (this.lost) throw new Failure("gpu", "the graphics card was lost");
    const [smooth, raw] = await Promise.all(names.map((name) => results[name].getData(true)));
    return { smooth, raw: raw ?? null };
  }
}
