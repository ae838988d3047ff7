// The equations of a cell, line by line, with the numbers of one neuron at one step.

// values: of each quantity after the step. before: of each state before it. below: the cell state of
// the layer below. isHeld: whether a quantity was held by hand.
function equationLines({ equations }, { values, before, below, isHeld }) {
  const numbers = { "c^b_t": below };
  for (const { symbol, quantity } of equations) if (quantity) numbers[symbol] = values[quantity];
  for (const [name, value] of Object.entries(before)) numbers[`${name}_{t-1}`] = value;
  return equations.map((line) => {
    const value = numbers[line.symbol];
    const held = isHeld(line.quantity);
    return { ...line, value: value ?? null, isHeld: held, numbers: held ? "" : withNumbers(line, value, numbers) };
  });
}

// The right side of an equation with a unit's numbers: those of its symbols, or of a layer, whose
// sum has a term for every neuron, that sum.
function withNumbers({ right, action }, value, numbers) {
  const shown = (number) => (number < 0 ? `(${number.toFixed(3)})` : number.toFixed(3));
  if (action) {
    const sum = { "σ": (y) => Math.log(y / (1 - y)), tanh: Math.atanh }[action]?.(value);
    return Number.isFinite(sum) ? `${action}(${sum.toFixed(3)})` : "";
  }
  const symbols = /\b[a-z](?:\^b)?_(?:t\b|\{t-1\})/g;
  const known = (right.match(symbols) ?? []).every((symbol) => Number.isFinite(numbers[symbol]));
  if (!known) return "";
  const text = right.replace(symbols, (symbol) => shown(numbers[symbol]));
  return text.replace(/\(\((.*?)\)\)/g, "($1)");
}
