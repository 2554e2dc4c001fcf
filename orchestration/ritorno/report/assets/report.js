// Draws the charts of a page from its data block, in the theme of the moment; tables and CSV come from the same rows.
"use strict";
(function () {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const root = document.documentElement;
  const preference = matchMedia("(prefers-color-scheme: dark)");
  const datasets = {};
  const drawn = new Map();
  const waiting = new Set();
  const nothing = "–";

  // --- rows

  function day(text) {
    const [year, month, date] = text.split("-").map(Number);
    return new Date(year, month - 1, date).getTime();  // local midnight: the axis is local, too
  }

  function rowsOf(key) {
    if (datasets[key]) return datasets[key];
    const { columns, values } = page.datasets[key];
    const count = values.length ? values[0].length : 0;
    const rows = Array.from({ length: count }, () => ({}));
    columns.forEach((column, index) => {
      const dictionary = column.values;
      values[index].forEach((value, at) => { rows[at][column.name] = dictionary && value !== null ? dictionary[value] : value; });
    });
    return (datasets[key] = rows);
  }

  function choice(key) {
    const control = document.getElementById("filter-" + key);
    return control ? control.value : null;
  }

  function visible(figure) {
    let rows = rowsOf(figure.dataset);
    for (const key of figure.filters) {
      const chosen = choice(key), column = page.filters[key];
      if (chosen !== null) rows = rows.filter((row) => String(row[column]) === chosen);
    }
    return figure.where ? rows.filter((row) => row[figure.where]) : rows;
  }

  // --- numbers, by the rules of numbers.py

  const digits = (least) => new Intl.NumberFormat("en", { minimumFractionDigits: least, maximumFractionDigits: least });
  const whole = digits(0), tenths = digits(1), cents = digits(2);

  function shown(value, kind) {
    if (value === null || value === undefined) return nothing;
    const sign = value < 0 ? "−" : "";
    switch (kind) {
      case "percent": return unsigned(tenths, value * 100, "-") + "%";
      case "money": return signed(sign, cents.format(Math.abs(value)), page.symbol);
      case "int": return signed(sign, whole.format(Math.abs(value)), "");
      case "number": return signed(sign, cents.format(Math.abs(value)), "");
      case "month": return String(value).slice(0, 7);
      case "yes_no": return value ? "yes" : "no";
      default: return String(value);
    }
  }

  function signed(sign, text, symbol) { return (/[1-9]/.test(text) ? sign : "") + symbol + text; }
  function unsigned(format, value, minus) {
    const text = format.format(Math.abs(value));
    return (value < 0 && /[1-9]/.test(text) ? minus : "") + text;
  }

  const right = (kind) => ["int", "number", "percent", "money"].includes(kind);

  function columnsOf(figure) {
    const all = page.datasets[figure.dataset].columns;
    return figure.shown.map((name) => all.find((column) => column.name === name));
  }

  function element(name, text, attributes) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    return made;
  }

  function fillTable(figure) {
    const holder = document.querySelector("#" + figure.key + " .table");
    const narrow = (kind) => (right(kind) ? "right" : kind === "date" || kind === "month" ? "narrow" : "");
    const columns = columnsOf(figure);
    const table = element("table");
    table.append(element("caption", figure.title));
    const head = table.createTHead().insertRow();
    for (const column of columns) head.append(element("th", column.label, { scope: "col", class: narrow(column.kind) }));
    const body = table.createTBody();
    for (const row of visible(figure)) {
      const line = body.insertRow();
      for (const column of columns) {
        const cell = line.insertCell();
        cell.textContent = shown(row[column.name], column.kind);
        cell.className = narrow(column.kind);
      }
    }
    holder.replaceChildren(table);
  }

  function csv(figure) {
    const columns = columnsOf(figure);
    const quoted = (value) => {
      if (value === null || value === undefined) return "";
      // A text that a spreadsheet would take for a formula is not one.
      const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value);
      return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
    };
    const lines = visible(figure).map((row) => columns.map((column) => quoted(row[column.name])).join(","));
    return [columns.map((column) => quoted(column.name)).join(","), ...lines].join("\r\n") + "\r\n";
  }

  function save(figure) {
    const link = element("a", "", { download: page.key + "-" + figure.key + "-" + page.as_of + ".csv" });
    link.href = URL.createObjectURL(new Blob(["\ufeff", csv(figure)], { type: "text/csv;charset=utf-8" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // --- charts

  function theme() {
    return root.dataset.theme || (preference.matches ? "dark" : "light");
  }

  function coloured(part, colours) {
    if (typeof part === "string") return part.startsWith("@") && colours[part.slice(1)] ? colours[part.slice(1)] : part;
    if (Array.isArray(part)) return part.map((item) => coloured(item, colours));
    if (part && typeof part === "object") return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, coloured(item, colours)]));
    return part;
  }

  function config(colours, width) {
    const font = getComputedStyle(document.body).fontFamily;
    const words = { labelColor: colours.muted, titleColor: colours.muted, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, labelFont: font, titleFont: font };
    return {
      background: null, font, aria: false, padding: 2, view: { stroke: null },
      axis: { ...words, gridColor: colours.grid, domainColor: colours.control, tickColor: colours.control, domain: false, ticks: false, labelPadding: 6, titlePadding: 8, labelSeparation: 10 },
      axisX: { domain: true }, legend: { ...words, orient: "top", symbolType: "square", columns: Math.max(1, Math.floor((width - 50) / 155)), labelLimit: 190, rowPadding: 3, symbolOpacity: 1 },
      header: words, mark: { tooltip: null }, text: { color: colours.text, font }, line: { color: colours.blue }, bar: { color: colours.blue },
      rule: { color: colours.control }, range: { category: page.category.map((name) => colours[name]) },
    };
  }

  // A height by name is a height in pixels once the names are known: left to Vega-Lite it draws a warning of its own.
  function sized(spec, rows) {
    if (!spec.height || !spec.height.step) return spec;
    const encoding = spec.encoding || spec.layer[0].encoding;
    const drawn = rows.filter((row) => !encoding.x || row[encoding.x.field] !== null);  // Vega leaves the others out
    return { ...spec, height: spec.height.step * Math.max(1, new Set(drawn.map((row) => row[encoding.y.field])).size) };
  }

  async function draw(figure) {
    const holder = document.querySelector("#" + figure.key + " .chart");
    if (!holder || !figure.spec) return;
    const rows = visible(figure);
    const empty = document.querySelector("#" + figure.key + " .empty");
    if (empty) empty.hidden = rows.length > 0;
    holder.hidden = rows.length === 0;
    if (drawn.has(figure.key)) { drawn.get(figure.key).finalize(); drawn.delete(figure.key); }
    if (rows.length === 0) { holder.replaceChildren(); holder.dataset.state = "empty"; return; }
    const dates = page.datasets[figure.dataset].columns.filter((column) => column.kind === "date" || column.kind === "month");
    const values = rows.map((row) => {
      const copy = { ...row };
      for (const { name } of dates) if (copy[name] !== null) copy[name] = day(copy[name]);
      return copy;
    });
    const colours = page.palettes[theme()];
    const spec = coloured(figure.spec, colours);
    holder.dataset.state = "drawing";
    const result = await vegaEmbed(holder, { ...sized(spec, rows), datasets: { rows: values } }, {
      mode: "vega-lite", renderer: "svg", actions: false, config: config(colours, holder.clientWidth), tooltip: { theme: "custom", disableDefaultStyle: false },
      formatLocale: { decimal: ".", thousands: ",", grouping: [3], currency: [page.symbol, ""], minus: "−" },
      loader: { load: () => Promise.reject(new Error("this report loads nothing")) },
    });
    // The frame says what the chart shows; the marks themselves are noise to a screen reader, the table has the numbers.
    for (const svg of holder.querySelectorAll("svg")) { svg.setAttribute("aria-hidden", "true"); svg.setAttribute("focusable", "false"); }
    drawn.set(figure.key, result);
    holder.dataset.state = "drawn";
    holder.dataset.theme = theme();
  }

  function showsTable(figure) {
    const table = document.querySelector("#" + figure.key + " .table");
    return table && (!table.closest("details") || table.closest("details").open);
  }

  function refresh(figure) {
    if (showsTable(figure)) fillTable(figure);
    return waiting.has(figure.key) ? Promise.resolve() : draw(figure);
  }

  const figures = Object.values(page.figures);
  for (const figure of figures) {
    const place = document.getElementById(figure.key);
    if (!place) continue;
    const details = place.querySelector("details");
    if (details) details.addEventListener("toggle", () => { if (details.open) fillTable(figure); });
    if (showsTable(figure)) fillTable(figure);
    const button = place.querySelector("button.csv");
    if (button) button.addEventListener("click", () => save(figure));
    waiting.add(figure.key);
  }

  // Charts below the fold wait until somebody comes near: the page opens at once, however many there are.
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) show(page.figures[entry.target.id]);
  }, { rootMargin: "600px" });

  function show(figure) {
    if (!waiting.delete(figure.key)) return Promise.resolve();
    watcher.unobserve(document.getElementById(figure.key));
    return draw(figure);
  }

  for (const key of waiting) watcher.observe(document.getElementById(key));

  for (const [key] of Object.entries(page.filters)) {
    const control = document.getElementById("filter-" + key);
    if (control) control.addEventListener("change", () => figures.filter((figure) => figure.filters.includes(key)).forEach(refresh));
  }

  // --- theme

  const switches = document.querySelectorAll("input[name=theme]");
  for (const control of switches) {
    control.checked = control.value === (root.dataset.theme || "system");
    control.addEventListener("change", () => {
      if (control.value === "system") delete root.dataset.theme; else root.dataset.theme = control.value;
      try { localStorage.setItem("ritorno-theme", control.value); } catch (error) { /* forbidden: this page only */ }
      figures.forEach(refresh);
    });
  }
  preference.addEventListener("change", () => figures.forEach(refresh));
  addEventListener("beforeprint", () => figures.forEach(show));

  const current = document.querySelector("nav a[aria-current]");
  if (current) { const list = current.closest("ul"); list.scrollLeft = current.offsetLeft - list.offsetLeft - 24; }

  window.ritornoReport = { drawAll: () => Promise.all(figures.map(show)), csv: (key) => csv(page.figures[key]), page };
})();
