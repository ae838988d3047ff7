// What everything needs: elements, numbers as they are written, colours as classes.

const find = (id) => document.getElementById(id);
const page = JSON.parse(find("data").textContent);

// An element with a class and a text; a text never becomes markup.
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function bytesOf(id) {
  const text = find(id).textContent;
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// Three significant digits, as short as they come, with a minus sign that is one.
function figure(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text =
    size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
  return text.replace("-", "−");
}
const whole = (number) => number.toLocaleString("en");
const percent = (share) =>
  share >= 0.995 ? "100 %" : share >= 0.0995 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`;
const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(1)} sd`;

// A row is what can colour a text: a neuron, or what each character cost.
const isNeuron = (row) => row.layer !== null;
const limited = (value, low, high) => Math.min(Math.max(value, low), high);
const onScale = (row, value) => limited((value - row.low) / (row.high - row.low), 0, 1);
// Where the sign matters, the colours part in the middle of the scale.
const paletteOf = (row) => (row.low < 0 && row.high > 0 ? "d" : "q");
const CLASSES = Object.fromEntries(
  Array.from("dq", (letter) => [letter, Array.from({ length: page.colors }, (_, step) => letter + step)]),
);
const colorOf = (row, value) =>
  CLASSES[paletteOf(row)][Math.round(onScale(row, value) * (page.colors - 1))];
