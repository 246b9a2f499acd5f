"use strict";
// The interactive scatter plot of codes. Text from data is set as textContent only, never as markup, and
// never passed to plotly, which interprets tags in names.
(async () => {
  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element("scatter-data").textContent);
  const spaces = ["common", "salient"];
  const plots = spaces.map((space) => element(`scatter-${space}`));
  const [box, card, legend, select] = ["scatter", "scatter-card", "scatter-legend", "scatter-color"].map(
    element,
  );
  const coarse = matchMedia("(pointer: coarse)").matches;
  const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
  let way = "PCA";
  let chosen = null; // the sample in the card

  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const make = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const places = (space) => data.spaces[space].places[way];
  const short = (value) => String(Number(value.toPrecision(4)));

  function blend(share) {
    const at = share * (VIRIDIS.length - 1);
    const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
    const parts = [1, 3, 5].map((k) => {
      const [a, b] = [VIRIDIS[i], VIRIDIS[i + 1]].map((color) => parseInt(color.slice(k, k + 2), 16));
      return Math.round(a + (at - i) * (b - a));
    });
    return `rgb(${parts.join(",")})`;
  }

  // Black is invisible on a dark page.
  const visible = (color) => (color === "#000000" ? theme("--ink") : color);

  function range(column) {
    const known = column.values.filter((value) => value !== null);
    return known.length ? known.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [known[0], known[0]]) : [0, 0];
  }

  function looks(column) {
    const none = theme("--none");
    if (column.names) {
      return {
        color: column.values.map((i) => (i === null ? none : visible(column.looks[i].color))),
        symbol: column.values.map((i) => (i === null ? "circle" : column.looks[i].symbol)),
      };
    }
    const [low, high] = range(column);
    const share = (value) => (high > low ? (value - low) / (high - low) : 0.5);
    return { color: column.values.map((v) => (v === null ? none : blend(share(v)))), symbol: "circle" };
  }

  function drawLegend(column) {
    legend.replaceChildren();
    const entry = (name, color, symbol, count) => {
      const item = make("span", undefined, "entry");
      const mark = make("span", undefined, `mark ${symbol}`);
      mark.style.setProperty("--mark", color);
      item.append(mark, make("span", name), make("span", String(count), "count"));
      legend.append(item);
    };
    const missing = column.values.filter((value) => value === null).length;
    if (column.names) {
      column.names.forEach((name, i) => {
        const count = column.values.filter((value) => value === i).length;
        entry(name, visible(column.looks[i].color), column.looks[i].symbol, count);
      });
    } else {
      const [low, high] = range(column);
      const bar = make("span", undefined, "colorbar");
      bar.style.background = `linear-gradient(90deg, ${VIRIDIS.join(", ")})`;
      legend.append(make("span", short(low)), bar, make("span", short(high)));
    }
    if (missing) entry("no value", theme("--none"), "circle", missing);
  }

  function layout(space) {
    const { axes } = places(space);
    const [soft, line] = ["--soft", "--line"].map(theme);
    const axis = (title) => ({
      title: { text: title, font: { size: 12 }, standoff: 6 },
      gridcolor: line,
      zeroline: false,
      tickfont: { size: 11 },
      nticks: 6,
    });
    return {
      autosize: true,
      height: 360,
      margin: { l: 54, r: 8, t: 8, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "inherit", color: soft },
      xaxis: axis(axes[0]),
      yaxis: { ...axis(axes[1]), ...(axes[1] ? { scaleanchor: "x", scaleratio: 1 } : { showticklabels: false, showgrid: false, range: [-2, 2] }) },
      hovermode: "closest",
      hoverdistance: 24,
      dragmode: coarse ? false : "zoom",
      showlegend: false,
      shapes: ring(space),
    };
  }

  function ring(space) {
    if (chosen === null) return [];
    const at = places(space);
    const pixels = { xsizemode: "pixel", ysizemode: "pixel", x0: -8, x1: 8, y0: -8, y1: 8 };
    const place = { type: "circle", xanchor: at.x[chosen], yanchor: at.y[chosen] };
    return [{ ...place, ...pixels, line: { color: theme("--ink"), width: 2 } }];
  }

  function draw() {
    const column = data.columns[select.value];
    const size = Math.max(4, Math.min(8, 160 / Math.sqrt(data.count)));
    spaces.forEach((space, i) => {
      const { x, y } = places(space);
      const marker = { ...looks(column), size, opacity: 0.8, line: { width: 0 } };
      const trace = { type: "scatter", mode: "markers", x, y, marker, hoverinfo: "none" };
      const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };
      Plotly.react(plots[i], [trace], layout(space), config);
    });
    drawLegend(column);
  }

  function describe(sample) {
    card.replaceChildren();
    const sheet = data.thumbnails;
    const cell = sheet ? sheet.cells[sample] : -1;
    if (cell >= 0) {
      const scale = Math.max(1, Math.round(96 / Math.max(...sheet.size)));
      const image = make("div", undefined, "thumbnail");
      image.setAttribute("role", "img");
      image.setAttribute("aria-label", "thumbnail");
      image.style.width = `${scale * sheet.size[0]}px`;
      image.style.height = `${scale * sheet.size[1]}px`;
      image.style.backgroundImage = `url("${sheet.uri}")`;
      image.style.backgroundSize = `${scale * sheet.cell[0] * sheet.columns}px ${scale * sheet.cell[1] * sheet.lines}px`;
      const [column, row] = [cell % sheet.columns, Math.floor(cell / sheet.columns)];
      image.style.backgroundPosition = `${-scale * column * sheet.cell[0]}px ${-scale * row * sheet.cell[1]}px`;
      card.append(image);
    }
    const words = make("div");
    if (data.ids) words.append(make("strong", data.ids[sample]));
    const list = make("dl");
    const line = (name, value) => list.append(make("dt", name), make("dd", value));
    if (data.groups) line("group", data.groups[sample]);
    data.columns.forEach((column) => {
      const value = column.values[sample];
      if (value === null) return;
      if (!column.names) line(column.name, short(value));
      else line(column.name, column.words ? column.words[sample] : column.names[value]);
    });
    words.append(list);
    card.append(words);
  }

  function show(sample, plot) {
    if (chosen !== sample) {
      chosen = sample;
      describe(sample);
      spaces.forEach((space, i) => Plotly.relayout(plots[i], { shapes: ring(space) }));
    }
    card.hidden = false;
    const frame = box.getBoundingClientRect();
    const dot = plot.querySelectorAll(".scatterlayer .point")[sample].getBoundingClientRect();
    const [right, bottom] = [frame.width - card.offsetWidth, frame.height - card.offsetHeight];
    let left = dot.right - frame.left + 12;
    if (left > right) left = dot.left - frame.left - 12 - card.offsetWidth;
    const beside = left >= 0; // otherwise the only space is below
    card.style.left = `${Math.max(0, left)}px`;
    card.style.top = `${beside ? Math.min(dot.top - frame.top - 20, bottom) : dot.bottom - frame.top + 12}px`;
  }

  function hide() {
    chosen = null;
    card.hidden = true;
    spaces.forEach((_, i) => Plotly.relayout(plots[i], { shapes: [] }));
  }

  function walk(event, plot, space) {
    if (event.key === "Escape") hide();
    const axis = { ArrowLeft: "x", ArrowRight: "x", ArrowUp: "y", ArrowDown: "y" }[event.key];
    if (!axis) return;
    event.preventDefault();
    const values = places(space)[axis];
    const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
    const step = event.key === "ArrowRight" || event.key === "ArrowUp" ? 1 : -1;
    const next = chosen === null ? order[0] : order[(order.indexOf(chosen) + step + order.length) % order.length];
    show(next, plot);
  }

  function listen() {
    plots.forEach((plot, i) => {
      const take = (event) => {
        const point = event.points[0];
        if (point) show(point.pointNumber, plot);
      };
      plot.on("plotly_hover", take);
      plot.on("plotly_click", take);
      if (!coarse) plot.addEventListener("mouseleave", hide);
      plot.addEventListener("keydown", (event) => walk(event, plot, spaces[i]));
      plot.addEventListener("blur", hide);
    });
    select.addEventListener("change", draw);
    document.addEventListener("pointerdown", (event) => {
      if (chosen !== null && !box.contains(event.target)) hide();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  function offerWays() {
    const ways = Object.keys(data.spaces.common.places).filter((name) => name in data.spaces.salient.places);
    if (ways.length < 2) return;
    const field = element("scatter-ways");
    field.hidden = false;
    ways.forEach((name) => {
      const label = make("label");
      const input = make("input");
      Object.assign(input, { type: "radio", name: "way", value: name, checked: name === way });
      input.addEventListener("change", () => {
        way = name;
        hide();
        draw();
      });
      label.append(input, make("span", name));
      field.append(label);
    });
  }

  // Unpack a library into a script of the page, whose policy allows it by its hash.
  async function unpack(id) {
    const bytes = Uint8Array.from(atob(element(id).textContent), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = make("script", await new Response(stream).text());
    document.head.append(script);
    script.remove();
  }

  data.columns.forEach((column, i) => {
    const option = make("option", column.name);
    option.value = String(i);
    select.append(option);
  });
  offerWays();
  try {
    await unpack("plotly");
    box.hidden = false;
    draw();
    listen();
    document.documentElement.classList.add("interactive"); // hides the static figures, only after the plot works
  } catch (error) {
    box.hidden = true;
    throw error;
  }
})();
