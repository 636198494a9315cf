// Between RGBA bytes, as canvases have them, and the network's planes of floats in [-1, 1].

/** Part of a picture as `(3, h, w)` in [-1, 1]. */
export function planes(rgba, width, x0, x1, y0, y1) {
  const w = x1 - x0, area = w * (y1 - y0), out = new Float32Array(3 * area);
  for (let y = y0, to = 0; y < y1; y++) {
    for (let from = 4 * (y * width + x0), last = from + 4 * w; from < last; from += 4, to++) {
      out[to] = rgba[from] / 127.5 - 1;
      out[to + area] = rgba[from + 1] / 127.5 - 1;
      out[to + 2 * area] = rgba[from + 2] / 127.5 - 1;
    }
  }
  return out;
}

/** Write the kept part of a painted tile into a picture's RGBA bytes, which round and clip; alpha stays. */
export function place(painted, tile, rgba, width) {
  const { x, y } = tile, w = x.end - x.start, area = w * (y.end - y.start);
  for (let row = y.from; row < y.to; row++) {
    let from = (row - y.start) * w + x.from - x.start;
    for (let to = 4 * (row * width + x.from), last = to + 4 * (x.to - x.from); to < last; to += 4, from++) {
      rgba[to] = (painted[from] + 1) * 127.5;
      rgba[to + 1] = (painted[from + area] + 1) * 127.5;
      rgba[to + 2] = (painted[from + 2 * area] + 1) * 127.5;
    }
  }
}

/** The kept part of a tile out of a picture's bytes. */
export function cut(rgba, width, { x, y }) {
  const w = x.to - x.from, out = new Uint8ClampedArray(4 * w * (y.to - y.from));
  for (let row = y.from; row < y.to; row++) {
    const from = 4 * (row * width + x.from);
    out.set(rgba.subarray(from, from + 4 * w), 4 * w * (row - y.from));
  }
  return out;
}

/** Between what the network draws (strength 0) and what its output filter makes of it (1). */
export function blended(raw, smooth, strength) {
  if (raw === null || strength >= 1) return smooth.slice();
  if (strength <= 0) return raw.slice();
  const out = smooth.slice();
  for (let i = 0; i < out.length; i++) out[i] = raw[i] + strength * (smooth[i] - raw[i]);
  return out;
}
