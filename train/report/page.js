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
// From the first layer to the last: a ramp of hue and lightness that also reads in grey.
const layerColor = (i, n) => {
  const t = n > 1 ? i / (n - 1) : 0;
  const light = theme === "dark" ? 50 + 30 * t : 28 + 24 * t;
  return `hsl(${260 - 215 * t}, ${62 + 16 * t}%, ${light}%)`;
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
const state = {x: "step", smooth: 0.8, visible: runs.map(() => true)};
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

  const legendText = (data) => {
    if (data.x === undefined || data.x === null) {
      return chart.series.filter((s) => !s.quiet && !s.sub)
        .map((s) => `<span style="white-space:nowrap"><i class="dot" style="background:${s.color}"></i>${escape(s.label)}</span>`).join("");
    }
    const parts = [`<b>${escape(chart.xText(data.x))}</b>`];
    data.series.forEach((d) => {
      const s = chart.series.find((c) => c.name === d.label);
      if (s && !s.quiet && d.isVisible && d.y !== null && d.y !== undefined && isFinite(d.y))
        parts.push(`<span style="white-space:nowrap"><i class="dot" style="background:${s.color}"></i>${escape(s.label)} <b>${escape(number(d.y))}</b></span>`);
    });
    return parts.join("");
  };

  chart.draw = () => {
    chart.series = spec.series(view).filter((s) => s.points.length > 0);
    chart.xText = spec.xText(view);
    unit.textContent = typeof spec.unit === "function" ? spec.unit(view) : spec.unit || "";
    card.hidden = chart.series.length === 0;
    if (card.hidden) return;
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
                           drawPoints: !!s.markers, pointSize: s.markers ? 2.6 : 0, highlightCircleSize: s.quiet ? 0 : 4};
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

// A run's curve: faint raw points behind the smoothed line, and validation as a dashed line with markers.
const runCurves = (key, options) => (view) => {
  const out = [], f = options.map ? options.map(view) : null;
  runs.forEach((run, i) => {
    if (!state.visible[i]) return;
    const color = runColor(i), raw = pairs(run.train, key, f).filter((p) => p[1] !== null);
    const smooth = options.smooth && state.smooth > 0 && raw.length > 4;
    if (smooth) {
      const ys = smoothed(pairs(run.train, key).filter((p) => p[1] !== null).map((p) => p[1]), state.smooth);
      out.push({name: `${i} raw`, label: run.name, color: faint(color), points: raw, width: 1, quiet: true});
      out.push({name: `${i} train`, label: run.name, color, points: raw.map((p, k) => [p[0], f ? f(ys[k]) : ys[k]]), width: 1.9});
    } else {
      out.push({name: `${i} train`, label: run.name, color, points: raw, width: 1.6, steps: options.steps});
    }
    if (options.valid)
      out.push({name: `${i} valid`, label: `${run.name} valid`, color, sub: true, pattern: [6, 3], markers: true,
                points: pairs(run.valid, options.valid, f).filter((p) => p[1] !== null)});
  });
  return out;
};

const timeText = () => (x) => xAxes[state.x].text(x);
const timeCard = (spec) => makeCard($("time-charts"), {kind: "time", xText: timeText, ...spec});
timeCard({
  title: "Loss", wide: true, view: {ppl: false, tail: true}, buttons: [["perplexity", "ppl"], ["skip the start", "tail"]],
  unit: (view) => `${view.ppl ? "perplexity" : "nats a token"} over ${xAxes[state.x].label}; dashed: validation`,
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
  const draw = () => { left.draw(); right.draw(); };
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
      return {...none, color: runColor(i), markers: true, width: 1.9, banded,
              points: panel.points[at].map(([layer, y, low, high]) => [layer, banded ? [low ?? y, y, high ?? y] : y])};
    }),
  });
};
layerPanels("layers", $("layers"), $("layers-section"), ["grad_norm", "w2_grad", "update_ratio", "weight_norm", "activation_rms"]);
layerPanels("gains", $("gains"), $("gains-section"), []);

// ---- cards that a probe brings with it ------------------------------------------------------------------------------
// [{title, unit, log, layers: x is a layer, series: [{label, points: [[x, y]]}]}]
const probeCards = (cards, parent) => cards.forEach((c) => makeCard(parent, {
  kind: "probe", title: c.title, unit: c.unit, log: c.log, integerX: true, xText: () => (x) => (c.layers ? `layer ${x}` : count(x)),
  series: () => c.series.map((s, i) => ({name: `${i}`, label: s.label, color: runColor(i), markers: s.points.length < 60, width: 1.9, points: s.points})),
}));
if ($("cards-data")) probeCards(JSON.parse($("cards-data").textContent), $("cards"));
if (runs.length === 0) [$("about-runs"), ...$("controls").querySelectorAll("label")].forEach((e) => { e.hidden = true; });

// ---- a comparison of placements -------------------------------------------------------------------------------------
// What `normlab compare` adds: {placements: [{name, curve: [[update, mean, se or null]], losses: [[seed, loss]],
// differences: [[seed, difference]], interval: [low, mean, high] or null, rates: [[lr, loss, finished]]}]}.
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
  card({title: "Final loss", unit: "nats a token, seed by seed", integerX: true, xText: seedText, series: each((p) => p.losses, dots)});
  // Means stand side by side around 0, each on its interval.
  const mean = (p, i) => {
    const left = -0.4 + 0.8 * i / placements.length, right = left + 0.7 / placements.length;
    return p.interval ? [[left, p.interval], [right, p.interval]] : [];
  };
  card({
    title: "Difference to the baseline", unit: "by seed; left: the mean and its 95 % interval", integerX: true, xText: seedText,
    series: () => placements.flatMap((p, i) => [
      {name: `${i} mean`, label: p.name, color: runColor(i), width: 1.9, banded: true, points: mean(p, i)},
      {name: `${i}`, label: p.name, color: runColor(i), width: 0.01, banded: true, markers: true, sub: p.interval !== null,
       points: p.differences.map(([seed, d]) => [seed, [d, d, d]])},
    ]),
  });
  const rate = (finished) => (p) => p.rates.filter((r) => r[2] === finished && r[1] !== null).map(([lr, loss]) => [Math.log10(lr), loss]);
  card({
    title: "Loss against learning rate", unit: "faint: stopped before its end", xText: () => (x) => number(Math.pow(10, x)),
    series: () => placements.flatMap((p, i) => [
      {name: `${i}`, label: p.name, color: runColor(i), markers: true, width: 1.9, points: rate(true)(p)},
      {name: `${i} stopped`, label: p.name, color: faint(runColor(i)), markers: true, width: 0.01, quiet: true, points: rate(false)(p)},
    ]),
  });
};
if ($("comparison-data"))
  comparisonCards(JSON.parse($("comparison-data").textContent).placements, $("comparison-charts"));

// ---- header ---------------------------------------------------------------------------------------------------------
const paintDots = () => document.querySelectorAll(".dot[data-run]").forEach((dot) => { dot.style.background = runColor(+dot.dataset.run); });
runs.forEach((run, i) => {
  const chip = element("button", "chip");
  chip.type = "button";
  chip.title = "show or hide";
  const dot = element("i", "dot");
  dot.dataset.run = i;
  chip.append(dot, document.createTextNode(run.name));
  chip.onclick = () => {
    state.visible[i] = !state.visible[i];
    chip.classList.toggle("off", !state.visible[i]);
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
$("x").onchange = () => {
  state.x = $("x").value;
  charts.forEach((c) => { if (c.kind === "time") c.window = null; });
  redraw("time");
};
const showSmooth = () => { $("smooth-value").textContent = state.smooth.toFixed(2); };
$("smooth").oninput = () => { state.smooth = +$("smooth").value; showSmooth(); redraw("time"); };
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
})();
