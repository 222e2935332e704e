// Redraws both cuts through the point: means over intervals of E and Q, with the
// formulas of xbp.core.grid.mean_over. The names below are arguments of this function.
const [Qs, Es] = [grid.data.Q_edges[0], grid.data.E_edges[0]];
const count = {Q: Qs.length - 1, E: Es.length - 1};
const edges = {Q: Qs, E: Es};
const event = cb_obj.event_name;
if (event !== undefined && !(event === "panend")) {
  point.data = {Q: [cb_obj.x], E: [cb_obj.y]};
}

// The interval: within the data, of the width of the slider.
function interval(dim) {
  const first = edges[dim][0], last = edges[dim][count[dim]];
  const width = Math.min(widths[dim].value, last - first);
  const at = Math.min(Math.max(point.data[dim][0], first + width / 2), last - width / 2);
  return [at - width / 2, at + width / 2];
}

function overlaps(dim, [low, high]) {
  const found = [];
  for (let i = 0; i < count[dim]; i++) {
    const share = Math.min(edges[dim][i + 1], high) - Math.max(edges[dim][i], low);
    if (share > 0) found.push([i, share]);
  }
  return found;
}

function profile(over, source) {
  // `along` is the axis of the curve, `over` the one that is averaged over.
  const along = over === "Q" ? "E" : "Q";
  const limits = interval(over), weights = overlaps(over, limits);
  const columns = cells.data, commons = Object.keys(columns).filter(k => k[0] === "c");
  const x = [], y = [], low = [], high = [];
  for (let j = 0; j < count[along]; j++) {
    let total = 0, sum = 0, variance = 0, linear = 0;
    const shared = commons.map(() => 0);
    for (const [i, w] of weights) {
      const n = over === "Q" ? j * count.Q + i : i * count.Q + j;
      if (!Number.isFinite(columns.value[n])) continue;
      total += w;
      sum += w * columns.value[n];
      variance += (w * columns["alone_" + over][n]) ** 2;
      linear += w * columns.own[n];
      commons.forEach((k, s) => { shared[s] += w * columns[k][n]; });
    }
    const at = places.data[along][0][j], mean = sum / total;
    if (!(total > 0) || at < shown[along][0] || at > shown[along][1]) continue;
    if (dependent[over]) variance = Math.min(variance, linear ** 2);
    for (const part of shared) variance += part ** 2;
    const std = Math.sqrt(variance) / total;
    x.push(at); y.push(mean);
    low.push(Number.isFinite(std) ? mean - std : mean);
    high.push(Number.isFinite(std) ? mean + std : mean);
  }
  source.data = {x, y, low, high};
  const text = limits.map(end => Number(end.toPrecision(4))).join(" to ");
  titles[over].text = `${over} = ${text}${units[over]}`.replace(/-/g, "−");
  return limits;
}

const Q = profile("Q", over_E), E = profile("E", over_Q);
bands.Q.left = Q[0]; bands.Q.right = Q[1];
bands.E.bottom = E[0]; bands.E.top = E[1];
