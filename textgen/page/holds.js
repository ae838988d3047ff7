// Holding by hand: a gate of a layer, a neuron, and each direction that was saved with the model.

const MOST_SD = 4; // how far a direction can be moved, in standard deviations

function choiceOf(values) {
  const choice = make("select", "");
  choice.append(...values.map((value) => new Option(value, value)));
  return choice;
}

// A line: a box that switches it on, what it holds, a slider for the value, its two ends as buttons.
class HoldLine {
  // kind: the class of its element. holds: makes the holds of a value. changed: called while it is
  // on and its value changes, and when it is switched. choices: what else can be chosen.
  constructor(kind, { low, high, step, holds, changed, choices = [] }) {
    Object.assign(this, { holds, changed });
    this.element = make("div", `hold ${kind}`);
    this.box = make("input", "");
    this.box.type = "checkbox";
    this.name = make("span", "held");
    const label = make("label", "");
    label.append(this.box, this.name);
    this.input = make("input", "");
    this.input.type = "range";
    this.input.step = step;
    this.output = make("output", "");
    this.ends = ["low", "high"].map((end) => {
      const button = make("button", "quiet");
      button.type = "button";
      button.addEventListener("click", () => this.#hold(end === "low" ? this.input.min : this.input.max));
      return button;
    });
    this.element.append(label, ...choices, this.ends[0], this.input, this.ends[1], this.output);
    this.input.addEventListener("input", () => this.#hold(this.input.value));
    this.box.addEventListener("change", changed);
    for (const choice of choices) choice.addEventListener("change", () => this.isOn && changed());
    this.setRange(low, high);
  }

  get isOn() {
    return this.box.checked;
  }

  get now() {
    return this.isOn ? this.holds(Number(this.input.value)) : [];
  }

  setRange(low, high) {
    Object.assign(this.input, { min: low, max: high, value: 0 });
    this.#show();
  }

  #hold(value) {
    this.input.value = value;
    this.box.checked = true;
    this.#show();
    this.changed();
  }

  #show() {
    this.output.value = figure(Number(this.input.value));
  }

  // What it is called. ends: words of the two ends. choice: what is chosen beside the name.
  call(name, ends = [], choice = "") {
    const whole = `${name} ${choice}`.trim();
    this.name.textContent = name;
    this.box.setAttribute("aria-label", whole);
    this.input.setAttribute("aria-label", word("value of", whole));
    this.ends.forEach((button, number) => {
      const value = figure(Number(number ? this.input.max : this.input.min));
      button.textContent = ends[number] ?? value;
      button.setAttribute("aria-label", word("hold at", whole, button.textContent));
    });
  }
}

// All that can be held of a model.
class HoldPanel {
  #unit = null; // the neuron of the second line

  constructor(element, source, changed) {
    const numbers = Array.from({ length: source.layers }, (_, layer) => layer);
    const gates = source.quantities.filter((name) => name.endsWith("-gate"));
    this.gate = choiceOf(gates);
    if (gates.includes("forget-gate")) this.gate.value = "forget-gate";
    this.layer = choiceOf(["all", ...numbers]);
    this.layer.hidden = source.layers === 1;
    const isHeld = (layer) => this.layer.value === "all" || Number(this.layer.value) === layer;
    this.gateLine = new HoldLine("gate", {
      ...{ low: 0, high: 1, step: 0.01, changed, choices: [this.gate, this.layer] },
      holds: (value) =>
        numbers.filter(isHeld).map((layer) => ({ quantity: this.gate.value, layer, unit: null, value })),
    });
    this.gateLine.element.hidden = !gates.length;
    this.gate.addEventListener("change", () => this.relabel());
    this.unitLine = new HoldLine("unit", {
      ...{ low: -1, high: 1, step: 0.01, changed },
      holds: (value) => [{ ...this.#unit, value }],
    });
    this.unitLine.element.hidden = true;
    this.directionLines = source.directions.map(
      (_, direction) =>
        new HoldLine("direction", {
          ...{ low: -MOST_SD, high: MOST_SD, step: 0.1, changed },
          holds: (amount) => [{ direction, amount }],
        }),
    );
    this.source = source;
    element.append(...this.#lines.map((line) => line.element));
  }

  get #lines() {
    return [this.gateLine, this.unitLine, ...this.directionLines];
  }

  get now() {
    return this.#lines.flatMap((line) => line.now);
  }

  // The neuron that can be held is the one that colours the text; one that is held stays.
  takeUnit({ layer, unit, quantity, minimum, maximum }) {
    if (this.unitLine.isOn) return;
    this.#unit = { layer, unit, quantity };
    const most = Math.max(1, Math.ceil(Math.max(-minimum, maximum)));
    this.unitLine.setRange(quantity.endsWith("-gate") ? 0 : -most, most);
    this.unitLine.element.hidden = false;
    this.relabel();
  }

  relabel() {
    const gate = wordIfAny(`quantity ${this.gate.value}`, "");
    this.gateLine.call(word("hold gate"), [word("shut"), word("open")], gate);
    this.gate.setAttribute("aria-label", word("which gate"));
    this.gate.title = word("about gate");
    this.layer.setAttribute("aria-label", word("which layer"));
    for (const option of this.gate.options) option.textContent = word(`quantity ${option.value}`);
    for (const option of this.layer.options) {
      option.textContent = option.value === "all" ? word("all layers") : word("layer", option.value);
    }
    if (this.#unit) {
      const { layer, unit, quantity } = this.#unit;
      this.unitLine.call(word("hold neuron", `${layer}:${unit}`, word(`quantity ${quantity}`)));
    }
    this.directionLines.forEach((line, number) => line.call(this.source.directions[number].name));
  }
}
