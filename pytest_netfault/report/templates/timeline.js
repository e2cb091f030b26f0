"use strict";
// Draws the picture from the data in the page. Places on the axis ("u") are to scale, or squeezed where nothing
// happens; the view is a window of places. Everything is drawn anew when something changes, at most once a frame.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const chart = document.getElementById("chart"), overview = document.getElementById("overview");
  const tip = document.getElementById("tip"), status = document.getElementById("selected");
  const AXIS = 26, NAME = 20, NARROW = 640, LEAST = 44, ROW = 26, PAD = 7, SNAP = 6, DENSE = 220, PILE = 3;
  const MONO = '12px ui-monospace, "DejaVu Sans Mono", Consolas, monospace', SANS = '13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  const marks = data.marks, byId = new Map(marks.map((mark, n) => [mark.id, n]));
  const flows = data.flows.map(flow => ({lost: flow.lost, wrong: flow.wrong, at: flow.marks.map(id => byId.get(id))}));
  const axes = {true: data.axis, false: [data.axis[0].slice(), data.axis[data.axis.length - 1].slice()]};
  for (const knot of axes.false) knot[1] = knot[0] - data.axis[0][0];
  const main = new Set(data.cards.map(card => byId.get(card.mark))), losers = new Set(flows.filter(flow => flow.lost).flatMap(flow => flow.at));
  for (const flow of flows) if (flow.at.some(n => main.has(n) && marks[n].tone === "lost")) { flow.main = true; for (const n of flow.at) main.add(n); }
  const hidden = new Set();
  const edges = culprits => marks.filter(mark => mark.shade && (mark.tone === "culprit") === culprits).flatMap(mark => mark.shade.map(time => [time, "fault"]));
  const times = [
    ...data.cards.filter(card => card.kind === "missing" && card.mark).map(card => [marks[byId.get(card.mark)].start, "lost"]),
    ...edges(true), ...edges(false),
    ...marks.filter(mark => mark.tone === "lost" || mark.tone === "bad").map(mark => [mark.start, mark.tone]),
  ].slice(0, 200);
  let gutter = 168, squeeze = true, view = [0, 1], selected = -1, hovered = -1, asked = false, drawn = [], colours = {};

  // -- the axis ---------------------------------------------------------------------------------------------
  function between(knots, value, from, to) {
    let low = 0, high = knots.length - 1;
    while (high - low > 1) { const mid = (low + high) >> 1; if (knots[mid][from] <= value) low = mid; else high = mid; }
    const a = knots[low], b = knots[high], span = b[from] - a[from];
    return span > 0 ? a[to] + (value - a[from]) * (b[to] - a[to]) / span : a[to];
  }
  const place = time => between(axes[squeeze], time, 0, 1);
  const timeAt = u => between(axes[squeeze], u, 1, 0);
  const extent = () => { const knots = axes[squeeze]; return [knots[0][1], knots[knots.length - 1][1]]; };
  function setView(start, end) {
    const [first, last] = extent(), all = (last - first) || 1, margin = all * 0.04;
    let span = Math.min(Math.max(end - start, all * 1e-6), all + 2 * margin);
    // Close to, what is at the very beginning or end can be in the middle too.
    const spare = span < all * 0.9 ? Math.max(span / 2, margin) : margin;
    start = Math.min(Math.max(start, first - spare), last + spare - span);
    view = [start, start + span];
    draw();
  }
  const whole = () => { const [first, last] = extent(); const all = (last - first) || 1; setView(first - all * 0.015, last + all * 0.035); };
  function loss() {
    if (!data.focus) { whole(); } else {
      const a = place(data.focus[0]), b = place(data.focus[1]), m = (b - a) * 0.06;
      setView(a - m, b + m);
    }
    const card = data.cards[data.cards.length - 1];
    if (card && card.mark) select(byId.get(card.mark), false);
  }
  // About a place that is pointed at; without one the selection becomes the middle.
  function zoom(factor, u) {
    if (u !== undefined) return setView(u - (u - view[0]) * factor, u + (view[1] - u) * factor);
    const half = (view[1] - view[0]) / 2 * factor, mid = centre();
    setView(mid - half, mid + half);
  }
  function centre() {
    const mid = (view[0] + view[1]) / 2;
    if (selected < 0) return mid;
    const mark = marks[selected], last = mark.end === null ? mark.known : mark.end;
    return Math.min(Math.max(mid, place(mark.start)), place(last === null ? mark.start : last));
  }
  const width = () => chart.clientWidth - gutter;
  const x = u => gutter + (u - view[0]) / (view[1] - view[0]) * width();
  const X = time => x(place(time));
  const uAt = px => view[0] + (px - gutter) / width() * (view[1] - view[0]);

  // -- how things look --------------------------------------------------------------------------------------
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["page", "panel", "ink", "quiet", "line", "stripe", "plain", "good", "unknown", "bad", "fault", "lost", "shade", "shade-loss", "focus"])
      colours[name] = style.getPropertyValue("--" + name).trim();
    colours.culprit = colours.fault;
  }
  // On a phone the name of a lane stands above it, and the lane has the whole width.
  function layout() {
    const narrow = chart.clientWidth < NARROW, head = narrow ? NAME : 0;
    let y = AXIS;
    gutter = narrow ? 8 : 168;
    const rows = new Map();
    for (const lane of data.lanes) {
      if (hidden.has(lane.id)) continue;
      const piles = {deliveries: PILE, revisions: 2, steps: 2}[lane.kind] || 1;
      const height = Math.max(lane.rows * (lane.kind === "calls" ? ROW + 16 : ROW), piles * 17 + 12) + PAD * 2 + head;
      rows.set(lane.id, {lane, y, height, piles, top: y + head});
      y += height;
    }
    return {rows, height: y + 4, narrow};
  }
  function middle(box, mark) {
    const each = box.lane.kind === "calls" ? ROW + 16 : ROW;
    if (box.lane.kind === "calls") return box.top + PAD + mark.row * each + 10;
    if (box.lane.rows > 1 || ["faults", "connections"].includes(box.lane.kind)) return box.top + PAD + mark.row * each + ROW / 2;
    return box.top + PAD + 8;
  }
  function prepare(canvas, height) {
    const scale = window.devicePixelRatio || 1, w = canvas.clientWidth;
    canvas.style.height = height + "px";
    if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(w * scale); canvas.height = Math.round(height * scale);
    }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.clearRect(0, 0, w, height);
    return ctx;
  }
  const widths = new Map();
  function measured(ctx, text) {
    const key = ctx.font + text;
    if (!widths.has(key)) { if (widths.size > 20000) widths.clear(); widths.set(key, ctx.measureText(text).width); }
    return widths.get(key);
  }
  function duration(seconds) {
    if (seconds >= 1) return +seconds.toFixed(seconds < 10 ? 2 : 1) + " s";
    if (seconds >= 1e-3) return +(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0) + " ms";
    return +(seconds * 1e6).toFixed(0) + " \u00b5s";
  }

  // -- drawing ----------------------------------------------------------------------------------------------
  function draw() { if (!asked) { asked = true; requestAnimationFrame(paint); } }
  function paint() {
    asked = false;
    const started = performance.now(), {rows, height, narrow} = layout(), ctx = prepare(chart, height), right = gutter + width();
    drawn = [];
    ctx.textBaseline = "middle";
    let odd = false;
    for (const box of rows.values()) {
      if ((odd = !odd)) { ctx.fillStyle = colours.stripe; ctx.fillRect(0, box.y, right, box.height); }
    }
    ctx.save();
    ctx.beginPath(); ctx.rect(gutter, 0, width(), height); ctx.clip();
    drawAxis(ctx, height, right);
    if (!hidden.has("faults")) drawShades(ctx, rows, height, right);
    const seen = [];
    for (let n = 0; n < marks.length; n++) {
      const mark = marks[n], box = rows.get(mark.lane);
      if (!box) continue;
      const a = X(mark.start), last = mark.end === null ? mark.known : mark.end, b = last === null ? right + 1 : X(last);
      if (b < gutter - 90 || a > right + 10) continue;
      seen.push({n, mark, box, a, b, y: middle(box, mark)});
    }
    const where = new Map(seen.map(one => [one.n, one]));
    drawFlows(ctx, where, seen.length > DENSE * 3, rows);
    const rank = one => main.has(one.n) ? 3 : one.n === selected || losers.has(one.n) ? 2 : one.mark.tone === "culprit" || one.mark.tone === "bad" ? 1 : 0;
    const filled = new Map();
    const inOrder = [...seen.filter(one => !rank(one) && !covered(one, filled)), ...[1, 2, 3].flatMap(level => seen.filter(one => rank(one) === level))];
    // Labels stand on bars and under everything else: no text hides a mark.
    for (const one of inOrder) if (one.mark.shape === "bar") drawMark(ctx, one, right);
    drawLabels(ctx, seen, rank, right);
    for (const one of inOrder) if (one.mark.shape !== "bar") drawMark(ctx, one, right);
    ctx.restore();
    drawNames(ctx, rows, height, narrow);
    drawOverview(narrow);
    chart.drawn = drawn.map(({n, box}) => ({id: marks[n].id, shape: marks[n].shape, box}));
    chart.dataset.shown = seen.length;
    chart.dataset.painted = (performance.now() - started).toFixed(1);
  }
  // Where thousands of marks share a pixel, one of them is enough.
  function covered(one, filled) {
    const row = one.mark.lane + one.mark.row + one.mark.shape, until = filled.get(row);
    if (until !== undefined && one.b < until + 1) return true;
    filled.set(row, one.b);
    return false;
  }
  // First the times that matter: of the failure, of the fault that is blamed, of the others. Then the lengths of pauses
  // that are squeezed, and even times where there is room for them.
  function drawAxis(ctx, height, right) {
    const knots = axes[squeeze], taken = [], said = new Set();
    ctx.font = SANS; ctx.textAlign = "center"; ctx.lineWidth = 1;
    const free = (a, b) => a >= gutter && b <= right + 2 && taken.every(([from, to]) => b < from || a > to);
    const write = (text, px, half, colour) => {
      taken.push([px - half, px + half]);
      ctx.fillStyle = colours.page; ctx.fillRect(px - half + 4, 4, 2 * half - 8, 18);
      ctx.fillStyle = colour; ctx.fillText(text, px, 13);
    };
    for (const [time, colour] of times) {
      const px = X(time), text = exact(time);
      if (px < gutter || px > right || said.has(text)) continue;
      const half = measured(ctx, text) / 2 + 6, at = Math.min(Math.max(px, gutter + half), right + 2 - half);
      if (!free(at - half, at + half)) continue;
      said.add(text);
      ctx.strokeStyle = colours[colour]; ctx.beginPath(); ctx.moveTo(px, AXIS - 5); ctx.lineTo(px, AXIS + 3); ctx.stroke();
      write(text, at, half, colours[colour]);
    }
    const pauses = [];
    if (squeeze) for (let n = 1; n < knots.length; n++) {
      const time = knots[n][0] - knots[n - 1][0], room = knots[n][1] - knots[n - 1][1];
      if (time <= room * 1.5) continue;
      const a = Math.max(x(knots[n - 1][1]), gutter), b = Math.min(x(knots[n][1]), right);
      if (b - a < 3) continue;
      pauses.push([a, b]);
      ctx.save(); ctx.setLineDash([1, 3]); ctx.strokeStyle = colours.quiet;
      ctx.beginPath(); ctx.moveTo(a + 2, AXIS - 1); ctx.lineTo(b - 2, AXIS - 1); ctx.stroke(); ctx.restore();
      const text = "+" + duration(time), half = measured(ctx, text) / 2 + 4;
      if (b - a > 2 * half && free((a + b) / 2 - half, (a + b) / 2 + half)) write(text, (a + b) / 2, half, colours.quiet);
    }
    for (let n = 1; n < knots.length; n++) {
      const a = Math.max(x(knots[n - 1][1]), gutter), b = Math.min(x(knots[n][1]), right);
      if (b <= a || pauses.some(([from, to]) => a >= from - 0.5 && b <= to + 0.5)) continue;
      const from = timeAt(uAt(a)), to = timeAt(uAt(b)), step = nice((to - from) / ((b - a) / 60));
      if (!(step > 0)) continue;
      for (let k = Math.ceil(from / step); k * step <= to + step * 1e-6; k++) {
        const px = X(k * step), text = tick(k * step, step), half = measured(ctx, text) / 2 + 6;
        ctx.strokeStyle = colours.line;
        ctx.beginPath(); ctx.moveTo(px, AXIS - 4); ctx.lineTo(px, height); ctx.stroke();
        if (said.has(text) || !free(px - half, px + half)) continue;
        said.add(text);
        write(text, px, half, colours.ink);
      }
    }
  }
  // A time that somebody will look for in a log.
  function exact(seconds) { return seconds >= 1 ? +seconds.toFixed(3) + " s" : +(seconds * 1e3).toFixed(1) + " ms"; }
  // As many digits as tell a tick from the next.
  function tick(seconds, step) {
    const [scale, unit] = seconds >= 1 ? [1, " s"] : seconds >= 1e-3 ? [1e3, " ms"] : [1e6, " \u00b5s"];
    return +(seconds * scale).toFixed(Math.min(Math.max(-Math.floor(Math.log10(step * scale) + 1e-9), 0), 6)) + unit;
  }
  function nice(step) {
    const ten = Math.pow(10, Math.floor(Math.log10(step)));
    return [1, 2, 5, 10].map(f => f * ten).find(s => s >= step * 0.999);
  }
  function drawShades(ctx, rows, height, right) {
    for (const mark of marks) {
      if (!mark.shade) continue;
      const a = X(mark.shade[0]), b = X(mark.shade[1]);
      if (b < gutter || a > right) continue;
      ctx.fillStyle = mark.tone === "culprit" ? colours["shade-loss"] : colours.shade;
      ctx.fillRect(a, AXIS, Math.max(b - a, 2), height - AXIS);
      ctx.strokeStyle = colours.fault; ctx.lineWidth = mark.tone === "culprit" ? 1.5 : 0.75;
      ctx.setLineDash(mark.tone === "culprit" ? [] : [4, 4]);
      ctx.beginPath(); ctx.moveTo(a, AXIS); ctx.lineTo(a, height); ctx.moveTo(Math.max(b, a + 2), AXIS); ctx.lineTo(Math.max(b, a + 2), height); ctx.stroke();
      ctx.setLineDash([]);
    }
  }
  function drawFlows(ctx, where, dense, rows) {
    for (const flow of flows) {
      const mine = flow.at.includes(selected);
      if (dense && !flow.lost && !flow.wrong && !mine) continue;
      const ways = flow.at.map(n => where.get(n)).filter(Boolean);
      // A call took effect at some time before it returned: its line starts above the revision, not at its end.
      const points = ways.map((one, n) => [one.mark.shape === "bar" ? Math.min(Math.max(ways[n + 1] ? ways[n + 1].a : one.b, one.a), Math.max(one.b, one.a + 3)) : one.a, one.y]);
      if (points.length < 2) continue;
      ctx.strokeStyle = flow.lost ? colours.lost : flow.wrong ? colours.bad : mine ? colours.focus : colours.plain;
      ctx.lineWidth = flow.main ? 3 : flow.wrong ? 2 : flow.lost || mine ? 1.5 : 1;
      ctx.globalAlpha = flow.main || flow.wrong || mine ? 1 : flow.lost ? 0.7 : 0.55;
      for (let n = 1; n < points.length; n++) {
        const last = flow.lost && n === points.length - 1;
        ctx.setLineDash(last ? [5, 4] : []);
        ctx.beginPath(); ctx.moveTo(...points[n - 1]); ctx.lineTo(...points[n]); ctx.stroke();
      }
      ctx.setLineDash([]); ctx.globalAlpha = 1;
    }
  }
  function drawMark(ctx, one, right) {
    const {mark, a, y} = one, colour = colours[mark.tone] || colours.plain;
    ctx.fillStyle = ctx.strokeStyle = colour; ctx.lineWidth = 2;
    let box;
    if (mark.shape === "bar") {
      const b = Math.max(Math.min(one.b, right + 4), a + 3), h = one.box.lane.kind === "connections" ? 18 : 14, start = Math.max(a, gutter - 4);
      if (mark.tone === "unknown") drawOpen(ctx, mark, start, b, y, h, right);
      else if (mark.tone === "bad") ctx.strokeRect(start + 1, y - h / 2 + 1, Math.max(b - start - 2, 1), h - 2);
      else if (one.box.lane.kind === "connections") {
        ctx.globalAlpha = 0.32; ctx.fillRect(start, y - h / 2, b - start, h); ctx.globalAlpha = 1;
        ctx.fillRect(start, y - h / 2, 2, h); ctx.fillRect(b - 2, y - h / 2, 2, h);
      } else {
        // A cut that lies in wait is pale until it cuts.
        const waits = mark.shade && mark.shade[0] > mark.start ? Math.max(start, Math.min(X(mark.shade[0]), b)) : start;
        ctx.globalAlpha = 0.3; ctx.fillRect(start, y - h / 2, waits - start, h);
        ctx.globalAlpha = one.box.lane.kind !== "faults" || mark.tone === "culprit" ? 1 : 0.55;
        const acts = mark.shade && waits > start ? Math.max(X(mark.shade[1]), waits + 3) : b;
        ctx.fillRect(waits, y - h / 2, acts - waits, h);
        if (acts < b) { ctx.globalAlpha = 0.3; ctx.fillRect(acts, y - h / 2, b - acts, h); }
        ctx.globalAlpha = 1;
      }
      box = [start, y - h / 2, b - start, h];
    } else {
      const r = mark.tone !== "lost" ? 5 : main.has(one.n) ? 8 : 6;
      ctx.beginPath();
      if (mark.shape === "dot") { ctx.arc(a, y, r, 0, 7); ctx.fill(); }
      else if (mark.shape === "diamond") { ctx.moveTo(a, y - r - 1); ctx.lineTo(a + r + 1, y); ctx.lineTo(a, y + r + 1); ctx.lineTo(a - r - 1, y); ctx.fill(); }
      else if (mark.shape === "flag") { ctx.moveTo(a, y + 8); ctx.lineTo(a, y - 8); ctx.stroke(); ctx.beginPath(); ctx.moveTo(a, y - 8); ctx.lineTo(a + 7, y - 5); ctx.lineTo(a, y - 1); ctx.fill(); }
      else {
        ctx.lineWidth = mark.tone === "lost" || mark.shape === "cut" ? 3 : 2;
        ctx.moveTo(a - r, y - r); ctx.lineTo(a + r, y + r); ctx.moveTo(a + r, y - r); ctx.lineTo(a - r, y + r); ctx.stroke();
      }
      box = [a - r, y - r, 2 * r, 2 * r];
    }
    if (one.n === selected || one.n === hovered) {
      ctx.strokeStyle = colours.focus; ctx.lineWidth = 2;
      ctx.strokeRect(box[0] - 4, box[1] - 4, box[2] + 8, box[3] + 8);
    }
    drawn.push({n: one.n, box});
  }
  // Nobody knows how it ended: dashes, a fading tail, and no right edge.
  function drawOpen(ctx, mark, a, b, y, h, right) {
    const tail = mark.known === null ? 0 : 70, fade = ctx.createLinearGradient(b, 0, b + tail + 1, 0);
    ctx.globalAlpha = 0.3; ctx.fillRect(a, y - h / 2, b - a, h); ctx.globalAlpha = 1;
    fade.addColorStop(0, colours.unknown); fade.addColorStop(1, "transparent");
    if (tail) ctx.strokeStyle = fade;
    ctx.setLineDash([5, 3]);
    ctx.beginPath(); ctx.moveTo(b + tail, y - h / 2 + 1); ctx.lineTo(a + 1, y - h / 2 + 1); ctx.lineTo(a + 1, y + h / 2 - 1); ctx.lineTo(b + tail, y + h / 2 - 1); ctx.stroke();
    ctx.setLineDash([]);
    ctx.font = SANS; ctx.textAlign = "left"; ctx.fillStyle = colours.unknown;
    ctx.fillText("?", Math.min(b + 4, right - 12), y + 1);
  }
  // A label stands inside its bar, or in the first free place beside or below its mark: whole, else as a number, else cut
  // short. It never touches another label or another mark; what finds no place is left to hovering.
  function drawLabels(ctx, seen, rank, right) {
    ctx.textAlign = "left";
    const crowded = seen.length > DENSE, taken = [];
    const order = crowded ? seen.filter(one => rank(one) || one.box.lane.kind === "faults").slice(0, 400) : seen.slice();
    order.sort((one, two) => rank(two) - rank(one) || one.a - two.a);
    for (const one of crowded ? order : seen) taken.push(extent_of(one, right));
    // How far a text may reach that begins here: to the next thing in its way, and 0 if it begins in one.
    const room = (left, y, own) => {
      let end = right - 4;
      for (const [owner, a, top, b, bottom] of taken) {
        if (owner === own || bottom < y - 8 || top > y + 8 || b + 4 <= left) continue;
        if (a - 4 < left) return 0;
        end = Math.min(end, a - 4);
      }
      return left < gutter ? 0 : end - left;
    };
    for (const one of order) {
      const {mark, box} = one, kind = box.lane.kind, bar = mark.shape === "bar";
      if (kind === "connections" && !bar) continue;
      ctx.font = (main.has(one.n) ? "bold " : "") + (kind === "steps" ? SANS : MONO);
      const colour = ["lost", "bad", "unknown"].includes(mark.tone) ? colours[mark.tone] : colours.ink;
      const texts = mark.short && mark.short !== mark.label ? [mark.label, mark.short] : [mark.label];
      const put = (text, left, y, paint) => { taken.push([-1, left, y - 8, left + measured(ctx, text), y + 8]); paint(text, left, y + 1); };
      const plain = (text, left, y) => halo(ctx, text, left, y, colour);
      if (bar && kind !== "calls" && inBar(ctx, one, texts, right, taken, put)) continue;
      const a = Math.max(one.a, gutter), b = Math.min(one.b, right), piles = box.piles > 1 && !bar ? [...Array(box.piles).keys()].slice(1) : [];
      const spots = w => kind === "calls" ? [[a, one.y + 17], [right - 4 - w, one.y + 17]]
        : bar ? [[b + 8, one.y], [a - 8 - w, one.y]]
        : [[one.a + 11, one.y], ...piles.flatMap(pile => [[one.a - 6, one.y + pile * 17], [right - 4 - w, one.y + pile * 17]]), [one.a - 11 - w, one.y]];
      const near = ([left, y], w) => left <= one.b + 12 && left + w >= one.a - 12 && (y <= one.y + 17 || room(one.a - 1, one.y + 17, one.n) >= 2);
      let done = false;
      for (const text of texts) {
        const w = measured(ctx, text), spot = spots(w).find(spot => near(spot, w) && room(...spot, one.n) >= w);
        if (!spot) continue;
        if (spot[1] > one.y && kind !== "calls" && !crowded) lead(ctx, one, spot[1], taken);
        put(text, ...spot, plain);
        done = true;
        break;
      }
      if (done) continue;
      const widest = spots(0).filter(([left, y]) => y > one.y ? left <= one.b : left > one.b).map(spot => [room(...spot, one.n), spot]).sort((one, two) => two[0] - one[0])[0];
      if (!widest || widest[0] < LEAST) continue;
      if (widest[1][1] > one.y && kind !== "calls" && !crowded) lead(ctx, one, widest[1][1], taken);
      put(shortened(ctx, mark.label, widest[0]), ...widest[1], plain);
    }
  }
  function lead(ctx, one, y, taken) {
    taken.push([-1, one.a - 1, one.y + 8, one.a + 1, y - 9]);
    ctx.strokeStyle = colours[one.mark.tone] || colours.plain; ctx.lineWidth = 1;
    ctx.beginPath(); ctx.moveTo(one.a, one.y + 8); ctx.lineTo(one.a, y - 7); ctx.stroke();
  }
  // The room that a mark takes itself.
  function extent_of({n, mark, a, b, y}, right) {
    if (mark.shape !== "bar") return [n, a - 8, y - 8, a + 8, y + 8];
    const tail = mark.tone === "unknown" ? 16 : 0;
    return [n, Math.max(a, gutter), y - 7, Math.min(Math.max(b, a + 3) + tail, right), y + 7];
  }
  // In the first stretch of its bar that nothing else stands in.
  function inBar(ctx, one, texts, right, taken, put) {
    const a = Math.max(one.a, gutter) + 7, b = Math.min(one.b, right) - 5;
    const within = taken.filter(([owner, from, top, to, bottom]) => owner !== one.n && top < one.y + 7 && bottom > one.y - 7 && to > a && from < b && marks[owner]?.shape !== "bar");
    const stops = within.map(([, from, , to]) => [from - 3, to + 3]).sort((one, two) => one[0] - two[0]), gaps = [];
    let since = a;
    for (const [from, to] of stops) { gaps.push([since, from]); since = Math.max(since, to); }
    gaps.push([since, b]);
    const {mark, box} = one, solid = box.lane.kind !== "connections" && !(mark.shade && mark.shade[0] > mark.start) && (box.lane.kind !== "faults" || mark.tone === "culprit");
    const paint = (text, left, y) => { if (solid) { ctx.fillStyle = colours.page; ctx.fillText(text, left, y); } else halo(ctx, text, left, y, colours.ink); };
    for (const text of texts) {
      const gap = gaps.find(([from, to]) => to - from >= measured(ctx, text));
      if (gap) { put(text, gap[0], one.y, paint); return true; }
    }
    return false;
  }
  function shortened(ctx, text, room) {
    if (measured(ctx, text) <= room) return text;
    let length = text.length;
    while (length > 1 && ctx.measureText(text.slice(0, length).trimEnd() + "\u2026").width > room) length--;
    return text.slice(0, length).trimEnd() + "\u2026";
  }
  function halo(ctx, text, px, y, colour) {
    ctx.strokeStyle = colours.page; ctx.lineWidth = 4; ctx.lineJoin = "round"; ctx.globalAlpha = 0.9;
    ctx.strokeText(text, px, y);
    ctx.globalAlpha = 1; ctx.fillStyle = colour;
    ctx.fillText(text, px, y);
  }
  function drawNames(ctx, rows, height, narrow) {
    ctx.font = narrow ? "600 " + SANS : SANS; ctx.textAlign = "left"; ctx.fillStyle = colours.ink;
    for (const box of rows.values()) {
      const room = (narrow ? chart.clientWidth : gutter) - 16;
      const text = shortened(ctx, box.lane.name, room);
      if (narrow) halo(ctx, text, 10, box.y + NAME / 2 + 1, colours.quiet); else ctx.fillText(text, 10, middle(box, {row: 0}));
    }
    if (narrow) return;
    ctx.strokeStyle = colours.line; ctx.lineWidth = 1;
    ctx.beginPath(); ctx.moveTo(gutter - 0.5, 0); ctx.lineTo(gutter - 0.5, height); ctx.stroke();
    ctx.fillStyle = colours.quiet; ctx.fillText("time", 10, 13);
  }
  function drawOverview(narrow) {
    const ctx = prepare(overview, 26), w = width(), [first, last] = extent(), all = (last - first) || 1;
    const at = u => gutter + (u - first) / all * w;
    ctx.fillStyle = colours.stripe; ctx.fillRect(gutter, 4, w, 18);
    for (const mark of marks) if (mark.shade && !hidden.has(mark.lane)) {
      const a = at(place(mark.shade[0]));
      ctx.fillStyle = colours.fault; ctx.globalAlpha = 0.4; ctx.fillRect(a, 4, Math.max(at(place(mark.shade[1])) - a, 2), 18); ctx.globalAlpha = 1;
    }
    const pixels = new Set();
    for (const mark of marks) {
      if (hidden.has(mark.lane) || mark.shade) continue;
      const px = Math.round(at(place(mark.start))), key = px + mark.tone;
      if (pixels.has(key)) continue;
      pixels.add(key);
      ctx.fillStyle = colours[mark.tone] || colours.plain;
      if (mark.tone === "lost") ctx.fillRect(px - 1, 2, 3, 22); else ctx.fillRect(px, 9, 1, 8);
    }
    ctx.strokeStyle = colours.focus; ctx.lineWidth = 2;
    const a = Math.max(at(view[0]), gutter + 1), b = Math.min(at(view[1]), gutter + w - 1);
    ctx.strokeRect(a, 2, Math.max(b - a, 3), 22);
    if (narrow) return;
    ctx.font = SANS; ctx.textBaseline = "middle"; ctx.textAlign = "left"; ctx.fillStyle = colours.quiet;
    ctx.fillText("in view", 10, 13);
  }

  // -- choosing ---------------------------------------------------------------------------------------------
  const names = new Map(data.lanes.map(lane => [lane.id, lane.name]));
  function describe(into, mark) {
    into.replaceChildren();
    const title = document.createElement("b"), when = document.createElement("div");
    title.textContent = mark.label;
    const last = mark.end === null ? mark.known : mark.end, open = mark.end === null ? ", left open" : "";
    when.textContent = names.get(mark.lane) + ", " + duration(mark.start) + (last !== null && last > mark.start ? " to " + duration(last) + " (" + duration(last - mark.start) + ")" : "") + open;
    into.append(title, when);
    for (const [name, text] of mark.details) {
      const line = document.createElement("div");
      line.textContent = name + ": " + text;
      into.append(line);
    }
  }
  function select(n, reveal = true) {
    const before = document.querySelector("tr.chosen");
    if (before) before.classList.remove("chosen");
    selected = n === undefined ? -1 : n;
    if (selected < 0) { status.replaceChildren(); draw(); return; }
    const mark = marks[selected], row = document.getElementById(mark.id);
    if (row) row.classList.add("chosen");
    if (hidden.has(mark.lane)) { hidden.delete(mark.lane); for (const box of document.querySelectorAll("input.lane")) if (box.value === mark.lane) box.checked = true; }
    const u = place(mark.start);
    if (reveal && (u < view[0] || u > view[1])) { const half = (view[1] - view[0]) / 2; setView(u - half, u + half); }
    describe(status, mark);
    draw();
  }
  function neighbour(step) {
    let n = selected < 0 ? (step > 0 ? -1 : marks.length) : selected;
    do n += step; while (n >= 0 && n < marks.length && hidden.has(marks[n].lane));
    if (n >= 0 && n < marks.length) select(n);
  }
  function under(event) {
    const bounds = chart.getBoundingClientRect(), px = event.clientX - bounds.left, py = event.clientY - bounds.top;
    let best = -1, far = Infinity;
    for (const {n, box: [bx, by, bw, bh]} of drawn) {
      const dx = Math.max(bx - px, 0, px - bx - bw), dy = Math.max(by - py, 0, py - by - bh), d = dx + dy + (marks[n].shape === "bar" ? 0.5 : 0);
      if (dx <= SNAP && dy <= SNAP && d <= far) { best = n; far = d; }
    }
    return best;
  }
  function hover(event) {
    const n = under(event);
    if (n !== hovered) { hovered = n; draw(); }
    tip.hidden = n < 0;
    if (n < 0) return;
    describe(tip, marks[n]);
    const frame = chart.parentElement.getBoundingClientRect(), px = event.clientX - frame.left, py = event.clientY - frame.top;
    tip.style.left = Math.max(4, Math.min(px + 14, frame.width - tip.offsetWidth - 8)) + "px";
    tip.style.top = (py + 18 + tip.offsetHeight > frame.height ? Math.max(4, py - tip.offsetHeight - 12) : py + 18) + "px";
  }
  function unhover() { hovered = -1; tip.hidden = true; draw(); }

  // -- hands ------------------------------------------------------------------------------------------------
  let drag = null;
  chart.addEventListener("pointerdown", event => { drag = {x: event.clientX, view: view.slice(), moved: false}; chart.setPointerCapture(event.pointerId); });
  chart.addEventListener("pointermove", event => {
    if (!drag) return hover(event);
    const by = event.clientX - drag.x;
    if (Math.abs(by) > 3) drag.moved = true;
    if (drag.moved) { const u = by / width() * (drag.view[1] - drag.view[0]); setView(drag.view[0] - u, drag.view[1] - u); }
  });
  chart.addEventListener("pointerup", event => {
    if (drag && !drag.moved) { const n = under(event); if (n >= 0) history.replaceState(null, "", "#" + marks[n].id); select(n < 0 ? undefined : n, false); }
    drag = null;
  });
  chart.addEventListener("pointercancel", () => { drag = null; });
  chart.addEventListener("pointerleave", unhover);
  chart.addEventListener("dblclick", event => zoom(0.4, uAt(event.clientX - chart.getBoundingClientRect().left)));
  chart.addEventListener("wheel", event => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(Math.exp(event.deltaY * 0.002), uAt(event.clientX - chart.getBoundingClientRect().left));
    } else if (event.deltaX || event.shiftKey) {
      event.preventDefault();
      const u = (event.deltaX || event.deltaY) / width() * (view[1] - view[0]);
      setView(view[0] + u, view[1] + u);
    }
  }, {passive: false});
  chart.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const quarter = (view[1] - view[0]) / 4;
    const keys = {
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": whole, "l": loss, "L": loss,
      ArrowRight: () => event.shiftKey ? setView(view[0] + quarter, view[1] + quarter) : neighbour(1),
      ArrowLeft: () => event.shiftKey ? setView(view[0] - quarter, view[1] - quarter) : neighbour(-1),
      Home: () => { selected = -1; neighbour(1); }, End: () => { selected = -1; neighbour(-1); },
      Escape: () => select(undefined),
      Enter: () => { if (selected >= 0) location.hash = marks[selected].id; },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  const steer = event => {
    const [first, last] = extent(), half = (view[1] - view[0]) / 2;
    const u = first + (event.clientX - overview.getBoundingClientRect().left - gutter) / width() * (last - first);
    setView(u - half, u + half);
  };
  overview.addEventListener("pointerdown", event => { overview.setPointerCapture(event.pointerId); steer(event); });
  overview.addEventListener("pointermove", event => { if (event.buttons) steer(event); });
  document.getElementById("closer").addEventListener("click", () => zoom(0.5));
  document.getElementById("farther").addEventListener("click", () => zoom(2));
  document.getElementById("whole").addEventListener("click", whole);
  document.getElementById("loss")?.addEventListener("click", loss);
  document.getElementById("squeeze").addEventListener("change", event => {
    const [a, b] = [timeAt(view[0]), timeAt(view[1])], [first, last] = extent(), all = view[0] <= first && view[1] >= last;
    squeeze = event.target.checked;
    if (all) whole(); else setView(place(a), place(b));
  });
  for (const box of document.querySelectorAll("input.lane")) {
    box.addEventListener("change", () => { if (box.checked) hidden.delete(box.value); else hidden.add(box.value); unhover(); });
  }
  // A link from a card shows its event in the picture and stays there; a link from outside also goes to the row.
  for (const link of document.querySelectorAll(".cards a")) {
    link.addEventListener("click", event => {
      event.preventDefault();
      history.replaceState(null, "", link.hash);
      select(byId.get(link.hash.slice(1)));
    });
  }
  const follow = () => { const n = byId.get(location.hash.slice(1)); if (n !== undefined) select(n); };
  window.addEventListener("hashchange", follow);
  // On paper it is light, and as wide as the paper is.
  for (const [kind, paper] of [["beforeprint", true], ["afterprint", false]])
    window.addEventListener(kind, () => { document.documentElement.classList.toggle("paper", paper); readColours(); paint(); });
  for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
  async function copy(button) {
    const code = document.getElementById(button.dataset.of);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {  // not allowed here: an older way, which needs a selection
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
  new ResizeObserver(draw).observe(chart.parentElement);
  readColours();
  loss();
  follow();
})();
