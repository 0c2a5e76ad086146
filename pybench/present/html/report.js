// Draws the charts of this page and makes their controls. Text only ever goes in as text.
(() => {
  "use strict";
  const make = (tag, attributes, ...inside) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...inside);
    return node;
  };
  const SHAPES = {
    circle: "M6.5 2a4.5 4.5 0 1 0 .01 0z", square: "M2.5 2.5h8v8h-8z", "triangle-up": "M6.5 2l5 9h-10z",
    diamond: "M6.5 1l4.5 5.5-4.5 5.5L2 6.5z", cross: "M4.8 1.5h3.4v3.3h3.3v3.4H8.2v3.3H4.8V8.2H1.5V4.8h3.3z",
  };
  const swatch = (colour, shape) => {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 13 13");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", SHAPES[shape] || SHAPES.circle);
    path.setAttribute("fill", colour);
    svg.append(path);
    return svg;
  };
  // Text takes the page's colour, so that light, dark and print need no other drawing.
  const ink = "currentColor";
  const CONFIG = {
    background: "transparent", font: "system-ui, 'DejaVu Sans', sans-serif", view: { stroke: null },
    axis: { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink, gridColor: ink, gridOpacity: 0.13,
      domainOpacity: 0.5, tickOpacity: 0.5, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
  };
  // Every encoding of a chart and of its layers.
  const encodings = function* (spec) {
    if (spec.encoding) yield spec.encoding;
    for (const layer of spec.layer || []) yield* encodings(layer);
  };
  const prepare = (original, scales, narrow) => {
    const spec = structuredClone(original);
    spec.width = "container";
    spec.autosize = { type: "fit-x", contains: "padding" };
    delete spec.config;
    for (const encoding of encodings(spec)) {
      for (const [channel, type] of Object.entries(scales)) {
        const one = encoding[channel];
        if (!one || one.value !== undefined) continue;
        one.scale = Object.assign({}, one.scale, { type });
        if (type === "log") delete one.scale.zero;
        else if (channel === "y" && one.scale.zero === undefined) one.scale.zero = true;
      }
      for (const channel of ["color", "shape"]) {
        const one = encoding[channel];
        if (one && one.field === "series") one.legend = null;
        else if (one && one.legend && narrow) one.legend.gradientLength = 160;
      }
      if (narrow && encoding.y && encoding.y.axis) encoding.y.axis.labelLimit = 96;
    }
    return spec;
  };
  const segment = (label, values, chosen, act) => {
    const group = make("span", { class: "segment", role: "group", "aria-label": label }, make("span", {}, label));
    for (const value of values) {
      const button = make("button", { type: "button", "aria-pressed": String(value === chosen) }, value);
      button.addEventListener("click", () => {
        for (const other of group.querySelectorAll("button"))
          other.setAttribute("aria-pressed", String(other === button));
        act(value);
      });
      group.append(button);
    }
    return group;
  };
  const chart = (figure) => {
    const spec = JSON.parse(document.getElementById(figure.dataset.spec).textContent);
    const offers = (spec.usermeta || {}).pybench || { axes: {}, series: [], selects: [] };
    delete spec.usermeta;
    const tables = {};
    for (const { name, columns, rows } of spec.tables)
      tables[name] = rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])));
    delete spec.tables;
    const [controls, view, legend] = [".controls", ".view", ".legend"].map((name) => figure.querySelector(name));
    const scales = Object.assign({}, offers.axes);
    const values = { hidden: offers.series.filter((one) => !one.on).map((one) => one.name) };
    for (const one of offers.selects) values[one.param] = one.value;
    let drawn = null;
    const draw = async () => {
      const ready = prepare(spec, scales, view.clientWidth < 480);
      // Vega marks the rows it is given, so each drawing has its own.
      ready.datasets = structuredClone(tables);
      for (const param of ready.params || []) if (param.name in values) param.value = values[param.name];
      if (drawn) drawn.finalize();
      drawn = await vegaEmbed(view, ready, {
        mode: "vega-lite", renderer: "svg", ast: true, config: CONFIG,
        actions: { export: true, source: false, compiled: false, editor: false },
        tooltip: { theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" },
      });
      figure.dataset.drawn = String(Number(figure.dataset.drawn || 0) + 1);
    };
    const set = (name, value) => {
      values[name] = value;
      if (drawn) drawn.view.signal(name, value).runAsync();
    };
    for (const one of offers.selects) {
      if (one.values.length < 2) continue;
      const select = make("select", { name: one.param });
      for (const value of one.values) select.append(make("option", { value }, value));
      select.value = one.value;
      select.addEventListener("change", () => set(one.param, select.value));
      controls.append(make("label", {}, one.label, select));
    }
    for (const [channel, type] of Object.entries(offers.axes)) {
      controls.append(segment(channel + " axis", ["linear", "log"], type, (value) => {
        scales[channel] = value;
        draw();
      }));
    }
    if (offers.series.length > 1) {
      for (const one of offers.series) {
        const box = make("input", { type: "checkbox" });
        box.checked = one.on;
        box.addEventListener("change", () => {
          const hidden = values.hidden.filter((name) => name !== one.name);
          set("hidden", box.checked ? hidden : [...hidden, one.name]);
        });
        legend.append(make("label", {}, box, swatch(one.colour, one.shape), one.name));
      }
      const all = make("button", { type: "button" }, "all");
      const none = make("button", { type: "button" }, "none");
      for (const [button, on] of [[all, true], [none, false]]) {
        button.addEventListener("click", () => {
          for (const box of legend.querySelectorAll("input")) box.checked = on;
          set("hidden", on ? [] : offers.series.map((one) => one.name));
        });
      }
      if (offers.series.length > 3) legend.append(all, none);
    }
    return draw();
  };
  for (const group of document.querySelectorAll(".machine-group")) {
    const figures = [...group.querySelectorAll(".placement")];
    if (figures.length < 2) continue;
    const show = (label) => figures.forEach((one) => (one.hidden = one.dataset.label !== label));
    const names = figures.map((one) => one.dataset.label);
    group.querySelector(".controls").append(segment("placement", names, names[0], show));
    show(names[0]);
  }
  const all = [...document.querySelectorAll("figure.chart")].map(chart);
  Promise.all(all).then(
    () => (document.body.dataset.ready = "yes"),
    (error) => {
      document.body.dataset.ready = "failed";
      console.error(error);
    },
  );
})();
