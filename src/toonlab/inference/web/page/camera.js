// The camera: the newest picture is sent to be painted as soon as the last one is done.

const REASONS = {
  NotAllowedError: "The camera was not allowed. Allow it beside the page’s address, then try again.",
  NotFoundError: "There is no camera here.",
  NotReadableError: "The camera is in use by another program.",
};
const SIDES = [128, 160, 192, 256, 320, 384, 512, 640]; // longest side of a live picture, in pixels

export class Camera {
  /** `send(bitmap)` hands a picture over; call `done()` when it was painted. */
  constructor(video, send) { Object.assign(this, { video, send, on: false, fps: 0, step: 3 }); }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(window.isSecureContext ? "This browser has no camera." : "The camera needs an address that begins with https, or localhost.");
    }
    try { this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false }); }
    catch (error) { throw new Error(REASONS[error.name] ?? `The camera cannot be used (${error.message}).`); }
    this.video.srcObject = this.stream;
    this.stream.getVideoTracks()[0].onended = () => this.onlost?.();
    await this.video.play();
    Object.assign(this, { on: true, fps: 0, last: 0 });
    this.next();
  }

  stop() {
    this.on = false;
    this.stream?.getTracks().forEach((track) => { track.onended = null; track.stop(); });
    this.video.srcObject = null;
  }

  async next() {
    if (!this.on) return;
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return setTimeout(() => this.next(), 50);
    const scale = Math.min(1, SIDES[this.step] / Math.max(width, height));
    const size = { resizeWidth: Math.max(1, Math.round(width * scale)), resizeHeight: Math.max(1, Math.round(height * scale)), resizeQuality: "medium" };
    this.sent = performance.now();
    try { this.send(await createImageBitmap(this.video, size)); }
    catch { setTimeout(() => this.next(), 100); }
  }

  /** A picture was painted: count it, choose a size that keeps up, take the next one. */
  done() {
    const now = performance.now(), seconds = (now - this.sent) / 1000;
    if (this.last) { const rate = 1000 / (now - this.last); this.fps = this.fps ? 0.8 * this.fps + 0.2 * rate : rate; }
    this.last = now;
    if (seconds > 0.3 && this.step > 0) this.step -= 1;
    else if (seconds < 0.07 && this.step < SIDES.length - 1) this.step += 1;
    requestAnimationFrame(() => this.next());
  }

  /** The picture of this moment at the camera's own size, as a file. */
  async snap() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.video.videoWidth, this.video.videoHeight];
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}
