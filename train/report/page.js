// Draws the report's charts from the JSON in #data. Text from runs reaches the page through textContent or escape() only.
"use strict";
(() => {
const runs = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const root = document.documentElement;

// ---- colours --------------------------------------------------------------------------------------------------------
const palette = {
  light: ["#2f62c8", "#d2571c", "#23875f", "#9a3fb5", "#b88a12", "#cf3270", "#3c8fa3", "#70604c"],
  dark: ["#7ea6f7", "#f0925c", "#5ec79c", "#cf8be4", "#e0bd56", "#f2809f", "#74c4d6", "#b8a68f"],
};
let theme = "light";
const runColor = (i) => {
  const colors = palette[theme];
  return colors[i % colors.length];
};
// Told apart without colour too: each run has a dash of its own (the first: none), on paper and for those who see
// no difference between two of the colours.
const dashes = [null, [7, 3], [2, 3], [10, 3, 2, 3], [5, 2, 1, 2, 1, 2]];
const runDash = (i) => dashes[i % dashes.length];
// What stands for a series in legends: a piece of its line.
const lineMark = (color, dash) =>
  `<svg class="mark" width="22" height="8" aria-hidden="true"><path d="M0 4h22" stroke="${color}" stroke-width="2.2"${dash ? ` stroke-dasharray="${dash.join(" ")}"` : ""}/></svg>`;
// From the first layer to the last: a ramp of hue and lightness that also reads in grey.
const layerColor = (i, n) => {
  const t = n > 1 ? i / (n - 1) : 0;
  const light = theme === "dark" ? 50 + 30 * t : 28 + 24 * t;
  return `hsl(${260 - 215 * t}, ${62 + 16 * t}%, ${light}%)`;
};
const hollowPoint = (graph, name, context, x, y, color, size) => {
  context.beginPath();
  context.strokeStyle = color;
  context.lineWidth = 1.4;
  context.arc(x, y, size + 0.6, 0, 2 * Math.PI);
  context.stroke();
};
const faint = (color) => color + (theme === "dark" ? "4d" : "40");
const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

// ---- numbers and text -----------------------------------------------------------------------------------------------
const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const number = (x) => {
  if (x === null || x === undefined || !isFinite(x)) return "–";
  const a = Math.abs(x);
  if (a !== 0 && (a < 1e-2 || a >= 1e6)) return x.toExponential(2).replace(/\.?0*e\+?/, "e");
  return a >= 1000 ? x.toLocaleString("en", {maximumFractionDigits: 0}) : String(+x.toPrecision(4));
};
// As many digits as tell neighbouring labels of an axis apart.
const axisNumber = (x, [low, high]) => {
  const most = Math.max(Math.abs(low), Math.abs(high)), span = high - low;
  const digits = span > 0 ? Math.ceil(Math.log10(most / span)) + 2 : 4;
  return digits <= 4 || most >= 1e3 ? number(x) : String(+x.toPrecision(Math.min(digits, 12)));
};
const count = (x) => {
  for (const [size, unit] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(x) >= size) return +(x / size).toPrecision(4) + unit;
  return String(+x.toPrecision(4));
};
const clock = (s) => {
  const two = (x) => String(Math.floor(x)).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(s / 60 % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
};
const xAxes = {
  step: {label: "updates", text: count},
  tokens: {label: "tokens", text: count},
  seconds: {label: "time", text: clock},
};
const element = (tag, className, text) => {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
};

// ---- state that all charts share ------------------------------------------------------------------------------------
// Smoothing hides what a short run shows, so it begins at 0 there. The address keeps what was chosen (#x=tokens&smooth=0.3),
// for links and for the next look.
const longRun = 200, longest = Math.max(0, ...runs.map((run) => (run.train.step || []).length));
const state = {x: "step", smooth: longest >= longRun ? 0.6 : 0, visible: runs.map(() => true)};
const wanted = new URLSearchParams(location.hash.slice(1));
if (xAxes[wanted.get("x")] && runs.some((run) => run.train[wanted.get("x")])) state.x = wanted.get("x");
if (wanted.has("smooth") && +wanted.get("smooth") >= 0 && +wanted.get("smooth") < 1) state.smooth = +wanted.get("smooth");
(wanted.get("hide") || "").split(",").filter((i) => i !== "").forEach((i) => { if (+i in state.visible) state.visible[+i] = false; });
const keepState = () => {
  const kept = new URLSearchParams({x: state.x, smooth: state.smooth.toFixed(2)});
  const hidden = state.visible.map((shown, i) => (shown ? -1 : i)).filter((i) => i >= 0);
  if (hidden.length) kept.set("hide", hidden.join(","));
  try { history.replaceState(null, "", "#" + kept); } catch (e) { /* a page in a frame may not */ }
};
const charts = [];
const redraw = (kind) => charts.forEach((chart) => (!kind || chart.kind === kind) && chart.draw());

// Exponential moving average with the start's bias divided out, as TensorBoard smooths.
const smoothed = (values, weight) => {
  let mean = 0, total = 0;
  return values.map((v) => {
    if (v === null) return null;
    mean = mean * weight + (1 - weight) * v;
    total = total * weight + (1 - weight);
    return mean / total;
  });
};

// Series with their own x values as one table: rows by x, null where a series has no point there.
const merge = (series) => {
  const rows = new Map();
  series.forEach((s, column) => s.points.forEach(([x, y]) => {
    if (x === null || x === undefined) return;
    if (!rows.has(x)) rows.set(x, [x, ...series.map(() => null)]);
    rows.get(x)[column + 1] = y;
  }));
  return [...rows.values()].sort((a, b) => a[0] - b[0]);
};

// ---- a card with one chart ------------------------------------------------------------------------------------------
// spec: {title, unit, kind, wide, log, view, buttons: [[label, key of view]], xText(view), integerX,
//        series(view) -> [{name, label, color, points, and perhaps width, pattern, markers, banded, steps,
//                          quiet (never in the legend), sub (in the legend under the pointer only)}]}
const makeCard = (parent, spec) => {
  const card = element("div", "card" + (spec.wide ? " wide" : ""));
  const head = element("div", "card-head");
  const title = element("h3", "", spec.title);
  const unit = element("small");
  title.append(unit);
  head.append(title);
  const view = {log: !!spec.log, ...(spec.view || {})};
  const plot = element("div", "plot"), legend = element("div", "legend");
  plot.tabIndex = 0;
  plot.setAttribute("role", "img");
  legend.setAttribute("aria-live", "polite");
  card.append(head, legend, plot);
  parent.append(card);
  const chart = {kind: spec.kind, graph: null, window: null};

  const button = (label, key) => {
    const b = element("button", "", label);
    b.type = "button";
    b.setAttribute("aria-pressed", view[key]);
    b.onclick = () => {
      view[key] = !view[key];
      b.setAttribute("aria-pressed", view[key]);
      chart.draw();
    };
    head.append(b);
  };
  (spec.buttons || []).forEach(([label, key]) => button(label, key));
  button("log", "log");
  const save = element("button", "csv", "CSV");
  save.type = "button";
  save.title = "the numbers of this chart, as a table";
  save.setAttribute("aria-label", `${spec.title}: download as CSV`);
  save.onclick = () => download(`${spec.title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.csv`, csvOf(chart));
  head.append(save);
  // The arrow keys move along the points, as the pointer does.
  let at = -1;
  plot.addEventListener("keydown", (event) => {
    const steps = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity}[event.key];
    if (event.key === "Escape" && chart.graph) { chart.graph.clearSelection(); at = -1; return; }
    if (!steps || !chart.graph) return;
    const last = chart.graph.numRows() - 1;
    at = Math.max(0, Math.min(last, at < 0 && isFinite(steps) ? (steps > 0 ? 0 : last) : isFinite(steps) ? at + steps : steps > 0 ? last : 0));
    chart.graph.setSelection(at);
    event.preventDefault();
  });

  const legendText = (data) => {
    if (data.x === undefined || data.x === null) {
      return chart.series.filter((s) => !s.quiet && !s.sub)
        .map((s) => `<span style="white-space:nowrap">${lineMark(s.color, s.pattern)}${escape(s.label)}</span>`).join("");
    }
    const parts = [`<b>${escape(chart.xText(data.x))}</b>`];
    data.series.forEach((d) => {
      const s = chart.series.find((c) => c.name === d.label);
      if (s && !s.quiet && d.isVisible && d.y !== null && d.y !== undefined && isFinite(d.y))
        parts.push(`<span style="white-space:nowrap">${lineMark(s.color, s.pattern)}${escape(s.label)} <b>${escape(number(d.y))}</b></span>`);
    });
    return parts.join("");
  };

  chart.draw = () => {
    chart.series = spec.series(view).filter((s) => s.points.length > 0);
    chart.xText = spec.xText(view);
    unit.textContent = typeof spec.unit === "function" ? spec.unit(view) : spec.unit || "";
    card.hidden = chart.series.length === 0;
    if (card.hidden) return;
    const shown = chart.series.filter((s) => !s.quiet);
    plot.setAttribute("aria-label", `${spec.title}, ${unit.textContent}: ${shown.map((s) => {
      const last = s.points[s.points.length - 1], y = Array.isArray(last[1]) ? last[1][1] : last[1];
      return `${s.label} ends at ${number(y)}`;
    }).join("; ")}. Arrow keys move along the points.`);
    const banded = chart.series.some((s) => s.banded);
    let rows = merge(chart.series);
    if (view.log) {
      const positive = (y) => (Array.isArray(y) ? (y[1] > 0 ? [Math.max(y[0], y[1] * 1e-3), y[1], y[2]] : null) : y > 0 ? y : null);
      rows = rows.map((row) => row.map((y, i) => (i === 0 || y === null ? y : positive(y))));
    }
    const range = valueRange(rows, view);
    const perSeries = {};
    chart.series.forEach((s) => {
      perSeries[s.name] = {color: s.color, strokeWidth: s.width || 1.6, strokePattern: s.pattern || null, stepPlot: !!s.steps,
                           drawPoints: !!s.markers || s.points.length < 3, pointSize: s.markers || s.points.length < 3 ? 2.6 : 0, highlightCircleSize: s.quiet ? 0 : 4};
      if (s.hollow) perSeries[s.name].drawPointCallback = hollowPoint;
    });
    if (chart.graph) chart.graph.destroy();
    chart.graph = new Dygraph(plot, rows, {
      labels: ["x", ...chart.series.map((s) => s.name)],
      series: perSeries,
      customBars: banded, fillAlpha: 0.13,
      connectSeparatedPoints: true,
      logscale: view.log,
      includeZero: false,
      legend: "always", labelsDiv: legend, legendFormatter: legendText,
      gridLineColor: css("--grid"), axisLineColor: css("--line"), gridLineWidth: 1,
      rangeSelectorHeight: 0,
      animatedZooms: false,
      xRangePad: 6, yRangePad: 8,
      dateWindow: chart.window,
      valueRange: chart.window ? null : range,
      axes: {
        x: {axisLabelFormatter: chart.xText, axisLabelWidth: 70, drawGrid: false,
            ...(spec.integerX ? {ticker: (a, b) => integerTicks(a, b)} : {})},
        y: {axisLabelFormatter: (y, grain, options, g) => axisNumber(y, g.yAxisRange()), axisLabelWidth: 58, pixelsPerLabel: 28},
      },
      zoomCallback: (low, high) => {
        const [first, last] = chart.graph.xAxisExtremes();
        const all = low <= first && high >= last, moved = chart.window ? chart.window[0] !== low || chart.window[1] !== high : !all;
        if (chart.kind !== "time" || chart.syncing || !moved) return;
        charts.filter((c) => c.kind === "time").forEach((c) => {
          c.window = all ? null : [low, high];
          if (!c.graph) return;
          c.syncing = true;
          c.graph.updateOptions({dateWindow: c.window, valueRange: null});
          c.syncing = false;
        });
      },
    });
    // The legend under the pointer is the longest; its height is kept free so that the plot never jumps.
    legend.style.minHeight = "";
    chart.graph.setSelection(rows.length - 1);
    legend.style.minHeight = legend.offsetHeight + "px";
    chart.graph.clearSelection();
  };
  charts.push(chart);
  chart.draw();
  return chart;
};

// The y range to begin with; null: what dygraphs finds. With view.tail it leaves out the first twentieth of the run, whose
// fall would flatten everything after it; a logarithmic axis gets room at both ends.
const valueRange = (rows, view) => {
  if (!view.tail && !view.log) return null;
  const first = rows[0][0], start = view.tail ? first + (rows[rows.length - 1][0] - first) / 20 : first;
  let low = Infinity, high = -Infinity;
  rows.forEach((row) => row.forEach((y, i) => {
    if (i === 0 || y === null || row[0] < start) return;
    low = Math.min(low, Array.isArray(y) ? y[0] : y);
    high = Math.max(high, Array.isArray(y) ? y[2] : y);
  }));
  if (!(low <= high)) return null;
  if (view.log) return [low / Math.pow(high / low, 0.06) / 1.02, high * Math.pow(high / low, 0.06) * 1.02];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
  return [low - room, high + room];
};

// A chart's numbers as comma-separated values: x, then a column for each series (and its band).
const csvOf = (chart) => {
  const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  const plain = (y) => (y === null || y === undefined ? "" : Array.isArray(y) ? String(y[1]) : String(y));
  const head = ["x", ...chart.series.map((s) => (s.quiet ? `${s.label} raw` : s.label))];
  const rows = merge(chart.series).map((row) => row.map((y, i) => (i === 0 ? String(y) : plain(y))));
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
};
const download = (name, text) => {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

const integerTicks = (low, high) => {
  const step = Math.max(1, Math.ceil((high - low) / 12)), ticks = [];
  for (let v = Math.ceil(low); v <= high; ++v) if (v % step === 0) ticks.push({v, label: String(v)});
  return ticks;
};

// ---- curves over the run --------------------------------------------------------------------------------------------
const pairs = (table, key, f) => {
  const xs = table[state.x], ys = table[key];
  return xs && ys ? xs.map((x, i) => [x, ys[i] === null ? null : f ? f(ys[i]) : ys[i]]).filter((p) => p[0] !== null) : [];
};

// A run's curve: faint raw points behind the smoothed line, and validation as a thin line with markers.
const runCurves = (key, options) => (view) => {
  const out = [], f = options.map ? options.map(view) : null;
  runs.forEach((run, i) => {
    if (!state.visible[i]) return;
    const color = runColor(i), raw = pairs(run.train, key, f).filter((p) => p[1] !== null);
    const smooth = options.smooth && state.smooth > 0 && raw.length > 4;
    if (smooth) {
      const ys = smoothed(pairs(run.train, key).filter((p) => p[1] !== null).map((p) => p[1]), state.smooth);
      out.push({name: `${i} raw`, label: run.name, color: faint(color), points: raw, width: 1, quiet: true});
      out.push({name: `${i} train`, label: run.name, color, pattern: runDash(i), points: raw.map((p, k) => [p[0], f ? f(ys[k]) : ys[k]]), width: 1.9});
    } else {
      out.push({name: `${i} train`, label: run.name, color, pattern: runDash(i), points: raw, width: 1.6, steps: options.steps});
    }
    if (options.valid)
      out.push({name: `${i} valid`, label: `${run.name} valid`, color, sub: true, width: 1, pattern: runDash(i), markers: true,
                points: pairs(run.valid, options.valid, f).filter((p) => p[1] !== null)});
  });
  return out;
};

const timeText = () => (x) => xAxes[state.x].text(x);
const timeCard = (spec) => makeCard($("time-charts"), {kind: "time", xText: timeText, ...spec});
timeCard({
  title: "Loss", wide: true, view: {ppl: false, tail: true}, buttons: [["perplexity", "ppl"], ["skip the start", "tail"]],
  unit: (view) => `${view.ppl ? "perplexity" : "nats a token"} over ${xAxes[state.x].label}; dots: validation`,
  series: runCurves("loss", {smooth: true, valid: "valid_loss", map: (view) => (view.ppl ? Math.exp : null)}),
});
timeCard({title: "Gradient norm", unit: "all parameters, before clipping", log: true, series: runCurves("grad_norm", {smooth: true})});
timeCard({title: "Learning rate", series: runCurves("lr", {})});
timeCard({title: "Throughput", unit: "tokens a second", series: runCurves("tokens_per_second", {smooth: true})});
const scales = runs.flatMap((run) => run.train.loss_scale || []).filter((x) => x !== null);
if (scales.some((x) => x !== scales[0]))
  timeCard({title: "Loss scale", log: true, series: runCurves("loss_scale", {steps: true})});

// ---- numbers by layer -----------------------------------------------------------------------------------------------
// Two charts for one quantity: over time for one run, and by depth for all runs at one update.
const makeHeatMap = (parent, source) => {
  const card = element("div", "card wide heat"), head = element("div", "card-head"), title = element("h3", "", "Heat map");
  const unit = element("small"), canvas = element("canvas"), scale = element("div", "legend");
  canvas.setAttribute("role", "img");
  title.append(unit);
  head.append(title);
  card.append(head, scale, canvas);
  parent.append(card);
  // Dark blue to yellow by way of red: brighter is more, in grey too.
  const ramp = (t) => `hsl(${250 - 200 * t}, ${70 + 15 * t}%, ${18 + 56 * t}%)`;
  const chart = {kind: "layers", draw() {
    const {title: name, panel} = source();
    card.hidden = !panel || panel.steps.length < 2;
    if (card.hidden) return;
    const at = new Map(panel.layers.map((layer, row) => [layer, row]));
    const cells = panel.points.map((points) => points.map((p) => [at.get(p[0]), p[1]]));
    const all = cells.flat().map((c) => c[1]).filter((y) => y > 0 && isFinite(y));
    card.hidden = all.length === 0;
    if (card.hidden) return;
    const low = Math.log(Math.min(...all)), high = Math.log(Math.max(...all)), range = high - low || 1;
    const width = Math.max(1, canvas.clientWidth || 800), rows = panel.layers.length, height = Math.max(120, 16 * rows);
    const sharp = window.devicePixelRatio || 1, left = 34, bottom = 18;
    canvas.width = width * sharp;
    canvas.height = (height + bottom) * sharp;
    canvas.style.height = `${height + bottom}px`;
    const c = canvas.getContext("2d");
    c.scale(sharp, sharp);
    const w = (width - left) / cells.length, h = height / rows;
    cells.forEach((column, x) => column.forEach(([row, y]) => {
      if (!(y > 0)) return;
      c.fillStyle = ramp((Math.log(y) - low) / range);
      c.fillRect(left + x * w, height - (row + 1) * h, w + 0.6, h + 0.6);
    }));
    c.fillStyle = css("--quiet");
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    const every = Math.ceil(rows / 12);
    panel.layers.forEach((layer, row) => { if (row % every === 0) c.fillText(layer, 4, height - (row + 0.5) * h); });
    c.textBaseline = "alphabetic";
    c.fillText(count(panel.steps[0]), left, height + 14);
    c.textAlign = "right";
    c.fillText(count(panel.steps[panel.steps.length - 1]), width - 2, height + 14);
    unit.textContent = `${name}, layers from below over updates`;
    scale.textContent = "";
    const bar = element("i", "ramp");
    bar.style.background = `linear-gradient(to right, ${[0, .25, .5, .75, 1].map(ramp).join(", ")})`;
    scale.append(element("span", "", number(Math.exp(low))), bar, element("span", "", number(Math.exp(high))));
    canvas.setAttribute("aria-label", `Heat map, ${unit.textContent}: from ${number(Math.exp(low))} to ${number(Math.exp(high))}`);
  }};
  charts.push(chart);
  addEventListener("resize", () => chart.draw());
  return chart;
};

const layerPanels = (key, parent, sectionElement, preferred) => {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run[key])))];
  if (names.length === 0) return;
  names.sort((a, b) => (preferred.indexOf(a) + 1 || 99) - (preferred.indexOf(b) + 1 || 99) || a.localeCompare(b));
  sectionElement.hidden = false;
  const view = {name: names[0], run: runs.findIndex((run) => run[key][names[0]]), step: Infinity};

  const controls = element("div", "panel-controls");
  const pretty = (name) => (key === "layers" ? name.replace(/_/g, " ") : name);
  const choose = (label, options, value, onChange) => {
    const wrap = element("label", "", label), select = element("select");
    options.forEach(([v, text]) => {
      const option = element("option", "", text);
      option.value = v;
      select.append(option);
    });
    select.value = value;
    select.onchange = () => onChange(select.value);
    wrap.append(select);
    controls.append(wrap);
    return select;
  };
  const draw = () => { left.draw(); right.draw(); if (key === "layers") heat.draw(); };
  choose("quantity", names.map((n) => [n, pretty(n)]), view.name, (v) => {
    view.name = v;
    if (!runs[view.run][key][v]) runSelect.value = view.run = runs.findIndex((run) => run[key][v]);
    resetSteps();
    draw();
  });
  const owners = runs.map((run, i) => [i, run.name]).filter(([i]) => Object.keys(runs[i][key]).length > 0);
  const runSelect = choose("run", owners, view.run, (v) => { view.run = +v; draw(); });
  const slider = element("input"), shown = element("output"), wrap = element("label", "", "update");
  slider.type = "range";
  wrap.append(slider, shown);
  controls.append(wrap);
  let steps = [];
  const resetSteps = () => {
    steps = [...new Set(runs.flatMap((run) => (run[key][view.name] || {steps: []}).steps))].sort((a, b) => a - b);
    slider.min = 0;
    slider.max = steps.length - 1;
    const at = steps.findIndex((s) => s >= view.step);
    slider.value = at < 0 ? steps.length - 1 : at;
    view.step = steps[slider.value];
    shown.textContent = count(view.step);
  };
  slider.oninput = () => { view.step = steps[slider.value]; shown.textContent = count(view.step); right.draw(); };

  const grid = element("div", "grid");
  parent.append(controls, grid);
  resetSteps();
  const left = makeCard(grid, {
    kind: "layers", title: "Over time", log: key === "layers", unit: () => `${runs[view.run].name}: ${pretty(view.name)} over updates`,
    xText: () => count,
    series: () => {
      const panel = runs[view.run][key][view.name];
      if (!panel) return [];
      return panel.layers.map((layer, i) => ({
        name: `layer ${layer}`, label: `layer ${layer}`, color: layerColor(i, panel.layers.length), width: 1.5,
        points: panel.steps.map((step, k) => {
          const point = panel.points[k].find((p) => p[0] === layer);
          return [step, point ? point[1] : null];
        }).filter((p) => p[1] !== null),
      }));
    },
  });
  const right = makeCard(grid, {
    kind: "layers", title: "By depth", log: key === "layers", integerX: true,
    unit: () => `${pretty(view.name)} by layer at update ${count(view.step)}`,
    xText: () => (x) => `${x}`,
    series: () => runs.map((run, i) => {
      const panel = run[key][view.name];
      const none = {name: `${i}`, label: run.name, points: []};
      if (!panel || !state.visible[i]) return none;
      let at = -1;  // the newest record that is not after the chosen update
      panel.steps.forEach((s, k) => { if (s <= view.step) at = k; });
      if (at < 0) return none;
      const banded = panel.points[at].some((p) => p.length === 4);
      return {...none, color: runColor(i), pattern: runDash(i), markers: true, width: 1.9, banded,
              points: panel.points[at].map(([layer, y, low, high]) => [layer, banded ? [low ?? y, y, high ?? y] : y])};
    }),
  });
  // All layers at all recorded updates: rows are layers, columns updates, colours the logarithm of the value.
  const heat = key !== "layers" ? null : makeHeatMap(grid, () => ({
    title: `${runs[view.run].name}: ${pretty(view.name)}`, panel: runs[view.run][key][view.name]}));
  if (heat) heat.draw();
};
// ---- samples over the run -------------------------------------------------------------------------------------------
// A slider for each run that kept several; the texts go in by textContent alone.
const sampleViewers = () => runs.forEach((run, i) => {
  const texts = run.samples || [];
  if (texts.length === 0) return;
  $("samples-section").hidden = false;
  const figure = element("figure"), caption = element("figcaption"), dot = element("i", "dot"), text = element("pre");
  dot.dataset.run = i;
  const slider = element("input"), shown = element("output"), label = element("label", "", "update");
  slider.type = "range";
  slider.min = 0;
  slider.max = texts.length - 1;
  slider.value = texts.length - 1;
  slider.hidden = texts.length < 2;
  const show = () => { shown.textContent = count(texts[slider.value][0]); text.textContent = texts[slider.value][1]; };
  slider.oninput = show;
  label.append(slider, shown);
  caption.append(dot, document.createTextNode(run.name + " "), label);
  figure.append(caption, text);
  $("samples-over-time").append(figure);
  show();
});
sampleViewers();

// ---- what one placement's learning rate did -------------------------------------------------------------------------
// Runs that differ in optim.lr: best validation loss (training loss where there is none) over the rate.
const ratePoints = () => runs.map((run, i) => ({i, lr: run.lr, loss: run.best}))
  .filter((p) => state.visible[p.i] && p.lr > 0 && p.loss !== null && p.loss !== undefined);
// A comparison has a chart of its own, of its sweep and of final losses.
if (!$("comparison-data") && new Set(runs.map((run) => run.lr).filter((lr) => lr > 0)).size > 1)
  makeCard($("time-charts"), {
    kind: "rates", title: "Loss against learning rate", unit: "best validation loss, else the last training loss", xText: () => (x) => number(Math.pow(10, x)),
    series: () => ratePoints().map((p) => ({name: `${p.i}`, label: runs[p.i].name, color: runColor(p.i), markers: true, points: [[Math.log10(p.lr), p.loss]]})),
  });

layerPanels("layers", $("layers"), $("layers-section"), ["grad_norm", "w2_grad", "update_ratio", "weight_norm", "activation_rms"]);
layerPanels("gains", $("gains"), $("gains-section"), []);

// ---- cards that a probe brings with it ------------------------------------------------------------------------------
// [{title, unit, log, x: "layer", "depth" (a share of the layers), "update" or "seed", series: [{label, points: [[x, y]]}]}]
const probeCards = (cards, parent) => cards.forEach((c) => makeCard(parent, {
  kind: "probe", title: c.title, unit: c.unit, log: c.log, integerX: c.x !== "depth", xText: () => (x) => (c.x === "layer" ? `layer ${x}` : count(x)),
  series: () => c.series.map((s, i) => ({name: `${i}`, label: s.label, color: runColor(i), markers: s.points.length < 60, width: 1.9, points: s.points})),
}));
if ($("cards-data")) probeCards(JSON.parse($("cards-data").textContent), $("cards"));
if (runs.length === 0) [$("about-runs"), ...$("controls").querySelectorAll("label")].forEach((e) => { e.hidden = true; });

// ---- a comparison of placements -------------------------------------------------------------------------------------
// What `normlab compare` adds: {placements: [{name, curve: [[update, mean, se or null]], losses: [[seed, loss]],
// differences: [[seed, difference]], interval: [low, mean, high] or null, rates: [[lr, loss, finished, seed]]}]}.
const comparisonCards = (placements, parent) => {
  const card = (spec) => makeCard(parent, {kind: "comparison", ...spec});
  const each = (points, options) => () => placements.map((p, i) => (
      {name: `${i}`, label: p.name, color: runColor(i), markers: true, points: points(p), ...(options ? options(p) : {})}));
  const dots = () => ({width: 0.01, banded: false});
  const seedText = () => (x) => (x < 0.5 ? "mean" : `seed ${x}`);
  const withBands = (points) => points.map(([x, y, se]) => [x, [y - (se || 0), y, y + (se || 0)]]);
  card({
    title: "Mean validation loss", wide: true, unit: "nats a token over updates; bands: ± standard error", xText: () => count,
    series: each((p) => withBands(p.curve), () => ({banded: true, width: 1.9})),
  });
  // Means stand side by side around 0, each on its interval; the seeds' values stand at their numbers.
  const meanAt = (interval, i) => {
    const left = -0.4 + 0.8 * i / placements.length, right = left + 0.7 / placements.length;
    return interval ? [[left, interval], [right, interval]] : [];
  };
  const bySeed = (values, interval) => () => placements.flatMap((p, i) => [
    {name: `${i} mean`, label: p.name, color: runColor(i), width: 1.9, banded: true, points: meanAt(interval(p), i)},
    {name: `${i}`, label: p.name, color: runColor(i), width: 0.01, banded: true, markers: true, sub: interval(p) !== null,
     points: values(p).map(([seed, v]) => [seed, [v, v, v]])},
  ]);
  card({
    title: "Final loss", unit: "nats a token, by seed; left: the mean and its 95 % interval", integerX: true, xText: seedText,
    series: bySeed((p) => p.losses, (p) => p.mean),
  });
  card({
    title: "Difference to the baseline", unit: "by seed; left: the mean and its 95 % interval", integerX: true, xText: seedText,
    series: bySeed((p) => p.differences, (p) => p.interval),
  });
  // A series has one point at each rate, so each seed is one of its own; the line is their mean, where all came to their end.
  const rateSeeds = [...new Set(placements.flatMap((p) => p.rates.map((r) => r[3])))];
  const rate = (p, seed, finished) => p.rates.filter((r) => r[3] === seed && r[2] === finished && r[1] !== null).map(([lr, loss]) => [Math.log10(lr), loss]);
  const rateMean = (p) => [...new Set(p.rates.map((r) => r[0]))].sort((a, b) => a - b)
    .map((lr) => p.rates.filter((r) => r[0] === lr)).filter((at) => at.every((r) => r[2] && r[1] !== null))
    .map((at) => [Math.log10(at[0][0]), at.reduce((sum, r) => sum + r[1], 0) / at.length]);
  card({
    title: "Loss against learning rate", unit: `final validation loss${rateSeeds.length > 1 ? ", by seed and their mean" : ""}; hollow: stopped before its end`,
    xText: () => (x) => number(Math.pow(10, x)),
    series: () => placements.flatMap((p, i) => [
      {name: `${i}`, label: p.name, color: runColor(i), markers: rateSeeds.length === 1, width: 1.9, points: rateMean(p)},
      ...rateSeeds.flatMap((seed) => [true, false].map((finished) => (
        {name: `${i} ${seed} ${finished}`, label: `${p.name} seed ${seed}`, color: runColor(i), hollow: !finished, markers: true, width: 0.01, quiet: true, points: rate(p, seed, finished)}))),
    ]),
  });
};
if ($("comparison-data"))
  comparisonCards(JSON.parse($("comparison-data").textContent).placements, $("comparison-charts"));

// ---- header ---------------------------------------------------------------------------------------------------------
const paintDots = () => document.querySelectorAll(".dot[data-run]").forEach((dot) => {
  dot.innerHTML = lineMark(runColor(+dot.dataset.run), runDash(+dot.dataset.run));
});
runs.forEach((run, i) => {
  const chip = element("button", "chip");
  chip.type = "button";
  chip.title = "show or hide";
  chip.setAttribute("aria-pressed", state.visible[i]);
  chip.classList.toggle("off", !state.visible[i]);
  const dot = element("i", "dot");
  dot.dataset.run = i;
  chip.append(dot, document.createTextNode(run.name));
  chip.onclick = () => {
    state.visible[i] = !state.visible[i];
    chip.classList.toggle("off", !state.visible[i]);
    chip.setAttribute("aria-pressed", state.visible[i]);
    keepState();
    redraw();
  };
  $("runs").append(chip);
});
Object.entries(xAxes).forEach(([key, axis]) => {
  if (!runs.some((run) => run.train[key])) return;
  const option = element("option", "", axis.label);
  option.value = key;
  $("x").append(option);
});
$("x").value = state.x;
$("x").onchange = () => {
  state.x = $("x").value;
  keepState();
  charts.forEach((c) => { if (c.kind === "time") c.window = null; });
  redraw("time");
};
const showSmooth = () => { $("smooth-value").textContent = state.smooth.toFixed(2); };
$("smooth").value = state.smooth;
$("smooth").oninput = () => { state.smooth = +$("smooth").value; showSmooth(); keepState(); redraw("time"); };
showSmooth();
const setTheme = (name) => {
  theme = name;
  root.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "light" : "dark";
  paintDots();
  redraw();
};
const wantsDark = window.matchMedia("(prefers-color-scheme: dark)");
wantsDark.addEventListener("change", () => setTheme(wantsDark.matches ? "dark" : "light"));
$("theme").onclick = () => setTheme(theme === "dark" ? "light" : "dark");
setTheme(wantsDark.matches ? "dark" : "light");
// Paper is white whatever the screen is.
let screenTheme = theme;
addEventListener("beforeprint", () => { screenTheme = theme; setTheme("light"); });
addEventListener("afterprint", () => setTheme(screenTheme));
// `normlab report --watch` brings newer numbers of the same runs.
window.normlabUpdate = (newer) => {
  newer.forEach((run, i) => { if (runs[i]) Object.assign(runs[i], run); });
  redraw();
};
})();
