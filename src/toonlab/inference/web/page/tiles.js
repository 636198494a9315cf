// Overlapping tiles, so that a picture of any size is painted within bounded memory: as toonlab/inference/tiling.py.

/** Cover `length` with windows of at most `tile`; each is {start, end, from, to}: what is seen, what of it is kept. */
export function windows(length, tile, overlap, multiple) {
  const padded = Math.ceil(length / multiple) * multiple; // the network pads the last window up to here itself
  if (padded <= tile) return [{ start: 0, end: length, from: 0, to: length }];
  const shared = Math.ceil((2 * overlap) / multiple) * multiple;
  if (tile <= shared) throw new Error(`a tile of ${tile} pixels is too small for this network`);
  const count = Math.ceil((padded - tile) / (tile - shared)) + 1;
  const side = Math.ceil((padded + (count - 1) * shared) / count / multiple) * multiple;
  const spare = (padded - side) / multiple;
  const starts = Array.from({ length: count }, (_, i) => Math.floor((spare * i) / (count - 1)) * multiple);
  const cuts = [0, ...starts.slice(1).map((b, i) => Math.floor((starts[i] + b + side) / 2)), length];
  return starts.map((start, i) => ({
    start, end: Math.min(start + side, length), from: cuts[i], to: cuts[i + 1],
  }));
}

/** The tiles of a picture, row by row: {x, y}, a window for each axis. A low or narrow picture gets longer tiles. */
export function plan(height, width, { tile, overlap, multiple }) {
  const even = (n) => Math.floor(n / multiple) * multiple;
  const up = (n) => Math.ceil(n / multiple) * multiple;
  let across = Math.min(up(width), tile);
  const down = Math.min(up(height), even((tile * tile) / across));
  across = Math.min(up(width), even((tile * tile) / down));
  const rows = windows(height, down, overlap, multiple), columns = windows(width, across, overlap, multiple);
  return rows.flatMap((y) => columns.map((x) => ({ x, y })));
}

/** One tile that is all of a picture. */
export function whole(width, height) {
  const all = (length) => ({ start: 0, end: length, from: 0, to: length });
  return { x: all(width), y: all(height) };
}

/** The size that a picture is painted at: `longest` pixels on its longest side, at most `area` in all, never more than it has. */
export function fitted(width, height, longest, area = Infinity) {
  const scale = Math.min(1, longest / Math.max(width, height), Math.sqrt(area / (width * height)));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}
