// The worker as the page sees it: it is replaced when it is stuck, out of memory, or has lost its graphics card.

export class Client {
  /** `heard` is called with each message of the worker that runs now. */
  constructor(manifest, heard) { Object.assign(this, { manifest, heard, backend: "auto", worker: null }); }

  /** Start afresh: the memory of the old worker is free at once, and what it was doing is given up. */
  start(backend = this.backend) {
    this.backend = backend;
    this.worker?.terminate();
    // By way of a blob, so that the worker inherits this page's Content-Security-Policy: a worker of its own
    // address would have none, because a plain file server sends no such header.
    const code = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const worker = (this.worker = new Worker(url, { type: "module", name: "toonlab" }));
    worker.onmessage = ({ data }) => { if (worker === this.worker) this.heard(data); };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.worker) this.heard({ type: "failed", kind: "network", during: "open", message: event.message || "A script of this page is missing: copy the whole folder to the server." });
    };
    this.send({ type: "open", backend, manifest: this.manifest });
  }

  send(message, moved = []) { this.worker.postMessage(message, moved); }
}
