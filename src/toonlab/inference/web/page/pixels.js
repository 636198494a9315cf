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

// Painted pictures are kept in 16 bits, three channels a pixel: finer than 1/60 of a level, and with what lies
// outside [-1, 1], which is clipped only after `strength` has mixed two of them, as stylize does.
const FINE = 8192, MOST = 32767;

export const picture = (width, height) => new Int16Array(3 * width * height);

/** Write the kept part of a painted tile into a picture. */
export function place(painted, { x, y }, picture, width) {
  const w = x.end - x.start, area = w * (y.end - y.start);
  const fine = (value) => Math.round(Math.max(-MOST, Math.min(MOST, value * FINE)));
  for (let row = y.from; row < y.to; row++) {
    let from = (row - y.start) * w + x.from - x.start;
    for (let to = 3 * (row * width + x.from), last = to + 3 * (x.to - x.from); to < last; to += 3, from++) {
      picture[to] = fine(painted[from]);
      picture[to + 1] = fine(painted[from + area]);
      picture[to + 2] = fine(painted[from + 2 * area]);
    }
  }
}

/**
 * The kept part of a tile as RGBA bytes: between what the network draws, `raw` (strength 0), and what its output
 * filter makes of it, `smooth` (1); alone if `raw` is null. Alpha is the photo's.
 */
export function mixed(photo, raw, smooth, strength, width, { x, y }) {
  const w = x.to - x.from, out = new Uint8ClampedArray(4 * w * (y.to - y.from)); // which rounds and clips
  const kept = raw === null ? 1 : strength, lower = raw ?? smooth;
  for (let row = y.from, to = 0; row < y.to; row++) {
    for (let at = row * width + x.from, last = at + w; at < last; at++, to += 4) {
      for (let c = 0, i = 3 * at; c < 3; c++, i++) {
        out[to + c] = ((lower[i] + kept * (smooth[i] - lower[i])) / FINE + 1) * 127.5;
      }
      out[to + 3] = photo[4 * at + 3];
    }
  }
  return out;
}
