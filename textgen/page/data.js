// What the page was made from: texts and figures as JSON, numbers as bytes in base64.

const find = (id) => document.getElementById(id);

function bytesOf(id) {
  const text = find(id).textContent;
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const page = JSON.parse(find("data").textContent);
const { pieces, rows, labels } = page;
const values = bytesOf("values"); // a row after the other
const bits = new Float32Array(bytesOf("bits").buffer);
const nextLabels = new (page.labelBytes === 4 ? Uint32Array : Uint16Array)(
  bytesOf("next-labels").buffer,
);
const nextProbabilities = new Uint16Array(bytesOf("next-probabilities").buffer);

const stored = (row, place) => values[row * pieces.length + place];
const valueOf = (row, number) =>
  rows[row].minimum + (number * (rows[row].maximum - rows[row].minimum)) / page.steps;
const valueAt = (row, place) => valueOf(row, stored(row, place));
const isNeuron = (row) => rows[row].layer !== null;

// Three significant digits, as short as they come, with a minus sign that is one.
function figure(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text =
    size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
  return text.replace("-", "−");
}
const whole = (number) => number.toLocaleString("en");

// For each of the 256 stored numbers of a row the class of its colour.
function colorsOf(row) {
  const { low, high } = rows[row];
  const letter = low < 0 && high > 0 ? "d" : "q";
  return Array.from({ length: page.steps + 1 }, (_, number) => {
    const position = (valueOf(row, number) - low) / (high - low);
    return letter + Math.round(Math.min(Math.max(position, 0), 1) * (page.colors - 1));
  });
}

// An element with a class and a text; a text never becomes markup.
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
