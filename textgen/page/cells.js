// Each cell's step, written like its equations (textgen/cells/equations.py). `on` computes with
// vectors and records what it did where a gradient is wanted (network.js); every gate and state
// passes through `hold`, where it is kept, and changed by whoever holds it.

// What the cells with a cell state have in common; `o` is a function of it, for some look at it.
function memoryAndOutput({ on, state, hold }, i, f, g, o) {
  const c = hold("c", on.add(on.multiply(f, state.c), on.multiply(i, g)));
  return { h: hold("h", on.multiply(o(c), on.tanh(c))), c };
}

const CELLS = {
  lstm(step) {
    const { on, pre, state, products, hold } = step;
    const [a_i, a_f, a_g, a_o] = on.split(on.add(pre, products[0](state.h)), 4);
    const i = hold("input", on.sigmoid(a_i));
    const f = hold("forget", on.sigmoid(a_f));
    const g = hold("candidate", on.tanh(a_g));
    const o = hold("output", on.sigmoid(a_o));
    return memoryAndOutput(step, i, f, g, () => o);
  },

  gru({ on, pre, state, products, vectors, hold }) {
    const [x_r, x_z, x_n] = on.split(pre, 3);
    const [h_r, h_z, h_n] = on.split(products[0](state.h), 3);
    const r = hold("reset", on.sigmoid(on.add(x_r, h_r)));
    const z = hold("update", on.sigmoid(on.add(x_z, h_z)));
    const read = on.multiply(r, on.add(h_n, vectors.bias_hn));
    const n = hold("candidate", on.tanh(on.add(x_n, read)));
    return { h: hold("h", on.add(on.multiply(on.rest(z), n), on.multiply(z, state.h))) };
  },

  rnn({ on, pre, state, products, nonlinearity, hold }) {
    return { h: hold("h", on[nonlinearity](on.add(pre, products[0](state.h)))) };
  },

  peephole(step) {
    const { on, pre, state, products, vectors, hold } = step;
    const [a_i, a_f, a_g, a_o] = on.split(on.add(pre, products[0](state.h)), 4);
    const looking = (a, weight, c) => on.sigmoid(on.add(a, on.multiply(vectors[weight], c)));
    const i = hold("input", looking(a_i, "weight_ci", state.c));
    const f = hold("forget", looking(a_f, "weight_cf", state.c));
    const g = hold("candidate", on.tanh(a_g));
    const o = (c) => hold("output", looking(a_o, "weight_co", c));
    return memoryAndOutput(step, i, f, g, o);
  },

  coupled(step) {
    const { on, pre, state, products, hold } = step;
    const [a_i, a_g, a_o] = on.split(on.add(pre, products[0](state.h)), 3);
    const i = hold("input", on.sigmoid(a_i));
    const f = hold("forget", on.rest(i));
    const g = hold("candidate", on.tanh(a_g));
    const o = hold("output", on.sigmoid(a_o));
    return memoryAndOutput(step, i, f, g, () => o);
  },

  "depth-gated"({ on, pre, state, products, vectors, below, hold }) {
    const [x_i, x_f, x_g, x_o, x_d] = on.split(pre, 5);
    const [h_i, h_f, h_g, h_o] = on.split(products[0](state.h), 4);
    const look = (weight, c) => on.multiply(vectors[weight], c);
    const i = hold("input", on.sigmoid(on.add(x_i, h_i, look("weight_ci", state.c))));
    const f = hold("forget", on.sigmoid(on.add(x_f, h_f, look("weight_cf", state.c))));
    const g = hold("candidate", on.tanh(on.add(x_g, h_g)));
    const looks = on.add(look("weight_cd", state.c), look("weight_ld", below.c));
    const d = hold("depth", on.sigmoid(on.add(x_d, looks)));
    const old = on.multiply(f, state.c);
    const c = hold("c", on.add(on.multiply(d, below.c), old, on.multiply(i, g)));
    const o = hold("output", on.sigmoid(on.add(x_o, h_o, look("weight_co", c))));
    return { h: hold("h", on.multiply(o, on.tanh(c))), c };
  },

  mlstm(step) {
    const { on, pre, state, products, hold } = step;
    const [x_m, x_i, x_f, x_g, x_o] = on.split(pre, 5);
    const m = on.multiply(x_m, products[0](state.h));
    const [m_i, m_f, m_g, m_o] = on.split(products[1](m), 4);
    const i = hold("input", on.sigmoid(on.add(x_i, m_i)));
    const f = hold("forget", on.sigmoid(on.add(x_f, m_f)));
    const g = hold("candidate", on.tanh(on.add(x_g, m_g)));
    const o = hold("output", on.sigmoid(on.add(x_o, m_o)));
    return memoryAndOutput(step, i, f, g, () => o);
  },
};
