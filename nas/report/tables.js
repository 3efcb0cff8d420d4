// Sorting, copying, downloads.
function csv(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    if (typeof value === "string" && /^[=+\-@\t]/.test(text)) text = "'" + text; // a spreadsheet would compute it
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

function everything() {
  const devices = reportData.devices.map((each) => ({ ...each, ...Object.fromEntries(["evaluations", "front", "presets"].map((part) => [part, each[part].rows.map((values) => unpacked(each[part].columns, values))])) }));
  const { blocks, ...shared } = reportData;
  return { ...shared, devices };
}

for (const button of document.querySelectorAll("button.download")) {
  button.addEventListener("click", () => {
    const part = button.dataset.part;
    const text = part ? csv(rows(part)) : JSON.stringify(everything(), null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: part ? "text/csv" : "application/json" }));
    link.download = button.dataset.file;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

async function copy(button, text) {
  const before = button.textContent;
  await navigator.clipboard.writeText(text);
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", () => copy(button, button.dataset.copy));
}

// "48.3 k" and "1.04 M" are numbers, "–" is less than all of them, anything else is text.
const FACTORS = { k: 1e3, M: 1e6, G: 1e9, T: 1e12 };
function sortKey(cell) {
  const text = cell.textContent.trim();
  if (text === "–") return -Infinity;
  const [, number, unit] = /^([−+±-]?[\d.,]+)\s*([kMGT])?(?![\w-]*[a-z]*\d)/.exec(text.replace("−", "-").replace("±", "")) || [];
  return number && cell.classList.contains("number") ? Number(number.replaceAll(",", "")) * (FACTORS[unit] || 1) : text;
}

function sortBy(table, column, header) {
  const descending = header.getAttribute("aria-sort") === "ascending";
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [sortKey(row.cells[column]), row]);
  keyed.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1));
  if (descending) keyed.reverse();
  body.append(...keyed.map(([, row]) => row));
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

for (const table of document.querySelectorAll("main table")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sortBy(table, column, header));
    header.replaceChildren(button);
  });
}
