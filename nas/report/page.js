"use strict";
// plotly.js 4 offers to upload a chart unless told not to; nothing of this page is to leave it.
const settings = {
  responsive: true,
  showSendToCloud: false,
  displaylogo: false,
  displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
};
const reportData = JSON.parse(document.getElementById("report-data").textContent);
let shown = reportData.devices[0];

const narrow = matchMedia("(max-width: 40rem)").matches;

// Figures are drawn one per task, so that the page answers meanwhile; those of a device that is not shown wait for it.
const waiting = [...document.querySelectorAll("figure[data-figure]")];

function drawNext() {
  const place = waiting.findIndex((figure) => !figure.closest("[hidden]"));
  if (place < 0) {
    document.body.dataset.drawn = shown.device;
    return;
  }
  const [figure] = waiting.splice(place, 1);
  const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
  const plot = figure.querySelector(".plot");
  if (narrow) for (const trace of data) if (trace.mode === "markers+text") trace.mode = "markers"; // names would overlap
  Plotly.newPlot(plot, data, layout, settings);
  plot.on("plotly_click", (event) => event.points[0].id && openCard(event.points[0].id, plot));
  setTimeout(drawNext);
}

function show(device) {
  shown = reportData.devices.find((each) => each.device === device);
  for (const panel of document.querySelectorAll(".device")) panel.hidden = panel.dataset.device !== device;
  drawNext();
}

const choice = document.querySelector("fieldset.switch");
if (choice) {
  choice.hidden = false;
  choice.addEventListener("change", (event) => show(event.target.value));
  document.body.classList.add("switched");
}
show(shown.device);

// Rows and architectures as they were before the page packed them: columns into rows, numbers into blocks.
function rows(part) {
  const found = part in shown ? shown[part] : reportData[part];
  if (part === "hypervolume") return found.map(([evaluations, hypervolume]) => ({ evaluations, hypervolume }));
  return Array.isArray(found) ? found : found.rows.map((values) => unpacked(found.columns, values));
}

function unpacked(columns, values) {
  const row = Object.fromEntries(columns.map((name, place) => [name, values[place]]));
  const blocks = (stage) => stage.blocks.map((number) => reportData.blocks[number]);
  row.architecture = { ...row.architecture, stages: row.architecture.stages.map((stage) => ({ ...stage, blocks: blocks(stage) })) };
  return row;
}

function packedRow(id) {
  for (const { columns, rows } of [shown.front, shown.presets, shown.evaluations]) {
    const values = rows.find((each) => each[columns.indexOf("id")] === id);
    if (values) return { columns, values };
  }
  return null;
}
