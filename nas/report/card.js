// An architecture on a card, put together from the page's drawings of its blocks.
const card = document.getElementById("card");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function element(tag, content, className) {
  const made = document.createElement(tag);
  made.append(...[content].flat());
  if (className) made.className = className;
  return made;
}

function strip(name, note, boxes) {
  const label = element("span", [name, document.createElement("br"), element("small", note)], "stage");
  return element("li", [label, element("span", boxes, "blocks")]);
}

function plainBox(name, bits) {
  const label = bits && bits !== "fp" ? [" ", element("i", `${bits} bit`, "bits")] : [];
  return element("span", [element("b", name), ...label], "block plain");
}

function drawn({ resolution, stem, stages, head_bits }) {
  const boxes = (stage) => stage.blocks.map((number) => document.getElementById(`block-${number}`).content.cloneNode(true));
  return element("ol", [
    strip("input", `${resolution} px`, plainBox(`stem ${stem || ""}`.trim(), stages[0].entry_bits)),
    ...stages.map((stage, place) => strip(`stage ${place + 1}`, `${stage.width} wide`, boxes(stage))),
    strip("output", "", plainBox("classifier", head_bits)),
  ], "architecture");
}

function facts(row) {
  const ms = (value) => `${value.toPrecision(3)} ms`;
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  const found = [
    ["accuracy", row.accuracy === null ? "failed" : `${percent(row.accuracy)} (validation, inherited weights)`],
    ["latency", `${ms(row.latency_ms)} predicted, ${ms(row.latency_low_ms)} to ${ms(row.latency_high_ms)}`],
    ["measured", row.latency_measured_ms ? ms(row.latency_measured_ms) : "not measured whole"],
    ["cost", `${short.format(row.num_params)} parameters, ${short.format(row.macs)} MACs, ${short.format(row.size_bytes)}B`],
  ];
  for (const network of shown.compare.filter((each) => each.id === row.id)) {
    found.push(["fine-tuned", `${percent(network.accuracy)} (test)`]);
  }
  return row.feasible ? found : [...found, ["limits", "not kept"]];
}

let opened = null;
let opener = null;

function openCard(id, from) {
  const packed = packedRow(id);
  if (!packed) return;
  const { columns, values } = packed;
  const row = Object.fromEntries(columns.map((name, place) => [name, values[place]]));
  [opened, opener] = [unpacked(columns, values), from];
  card.querySelector("h2").replaceChildren(row.name ? `${row.name} ` : "", element("code", row.id));
  card.querySelector("dl").replaceChildren(...facts(row).map(([name, text]) => element("div", [element("dt", name), element("dd", text)])));
  card.querySelector(".drawing").replaceChildren(drawn(row.architecture));
  card.querySelector(".finetune").hidden = !rows("front").some((each) => each.id === id);
  if (!card.open) card.showModal();
}

card.querySelector(".close").addEventListener("click", () => card.close());
card.addEventListener("click", (event) => event.target === card && card.close());
card.addEventListener("close", () => opener && opener.focus({ preventScroll: true }));
card.querySelector(".architecture-json").addEventListener("click", (event) => copy(event.target, JSON.stringify(opened.architecture)));
card.querySelector(".finetune").addEventListener("click", (event) => copy(event.target, `nas finetune --pick ${opened.id}`));

for (const code of document.querySelectorAll("code[data-network]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "network";
  button.setAttribute("aria-label", `draw ${code.dataset.network}`);
  button.addEventListener("click", () => openCard(code.dataset.network, button));
  code.replaceWith(button);
  button.append(code);
}
for (const row of document.querySelectorAll("tr:has(button.network)")) {
  row.classList.add("opens");
  row.addEventListener("click", (event) => event.target.closest("button, code") || row.querySelector("button.network").click());
}
