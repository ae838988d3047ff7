/* Counts of a text in a trie of its contexts, and their mixture with a network. */
#include "count_api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A string of symbols: the path to the node from the root, which is node 0. As a context it has
 * the symbols that followed it as children. Most contexts were seen once, and such a context has
 * no nodes below it, but the place in the text of the one symbol that followed. */
typedef struct {
    int32_t symbol;
    int32_t count;
    int32_t below; /* 0: nothing followed yet; > 0: the first child; < 0: the symbol at -1 - below */
    int32_t next;  /* the next child of the same context; 0: none */
} count_node;

struct tg_counts {
    int32_t vocab, order, end;
    count_node *nodes;
    int64_t node_count, node_room;
    int32_t *text; /* all symbols added; -1: another text begins */
    int64_t length, text_room;
    int32_t *first;       /* (vocab,): the children of the root by symbol; 0: none */
    int32_t *paths;        /* (2, order + 1): both of the next */
    int32_t *path, *ahead; /* (order + 1,): the nodes of the contexts now and one symbol later */
    int32_t depth;         /* symbols of the longest of them */
    int32_t seen;          /* symbols of the longest one that there can be: none before `end` */
    int64_t *kinds;        /* (order + 1, 4): how many counts of 1, 2, 3 and 4 contexts have */
    double *discounts;     /* (order + 1, 3) */
};

#define MOST_NODES 0x7fffff00

tg_counts *tg_counts_new(int32_t vocab, int32_t order, int32_t end) {
    tg_counts *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->vocab = vocab, c->order = order, c->end = end;
    c->node_room = 1024, c->text_room = 1024, c->node_count = 1;
    const size_t orders = (size_t)order + 1;
    c->nodes = calloc((size_t)c->node_room, sizeof *c->nodes);
    c->text = malloc((size_t)c->text_room * sizeof *c->text);
    c->first = calloc((size_t)vocab, sizeof *c->first);
    c->paths = calloc(2 * orders, sizeof *c->paths);
    c->kinds = calloc(4 * orders, sizeof *c->kinds);
    c->discounts = calloc(3 * orders, sizeof *c->discounts);
    if (!c->nodes || !c->text || !c->first || !c->paths || !c->kinds || !c->discounts) {
        tg_counts_free(c);
        return NULL;
    }
    c->path = c->paths, c->ahead = c->paths + orders;
    tg_counts_settle(c);
    return c;
}

void tg_counts_free(tg_counts *c) {
    if (!c) return;
    free(c->nodes);
    free(c->text);
    free(c->first);
    free(c->paths);
    free(c->kinds);
    free(c->discounts);
    free(c);
}

size_t tg_counts_bytes(const tg_counts *c) {
    return (size_t)c->node_room * sizeof *c->nodes + (size_t)c->text_room * sizeof *c->text +
           (size_t)c->vocab * sizeof *c->first;
}

/* Room for a symbol and for all nodes that it can add. */
static int make_room(tg_counts *c) {
    if (c->length + 2 > c->text_room) {
        const int64_t room = 2 * c->text_room;
        int32_t *text = realloc(c->text, (size_t)room * sizeof *text);
        if (!text) return -1;
        c->text = text, c->text_room = room;
    }
    const int64_t most = c->node_count + 2 * ((int64_t)c->order + 1);
    if (most > MOST_NODES || c->length + 2 > MOST_NODES) return -1;
    if (most > c->node_room) {
        /* By half: the room that is left over is most of the memory. */
        const int64_t room = c->node_room + c->node_room / 2 + 2 * ((int64_t)c->order + 1);
        count_node *nodes = realloc(c->nodes, (size_t)room * sizeof *nodes);
        if (!nodes) return -1;
        c->nodes = nodes, c->node_room = room;
    }
    return 0;
}

/* What follows the symbol at `place`, as a context of `length` symbols: as `below`. */
static int32_t after(const tg_counts *c, int64_t place, int32_t length) {
    const int32_t symbol = c->text[place];
    if (length > c->order || (symbol == c->end && length > 1)) return 0;
    if (place + 1 >= c->length || c->text[place + 1] < 0) return 0;
    return (int32_t)(-2 - place);
}

static int32_t add_child(tg_counts *c, int32_t of, int32_t symbol, int32_t below) {
    const int32_t child = (int32_t)c->node_count++;
    c->nodes[child] = (count_node){symbol, 1, below, c->nodes[of].below};
    c->nodes[of].below = child;
    return child;
}

static void count_again(tg_counts *c, int32_t child, int32_t order) {
    const int32_t n = c->nodes[child].count++;
    if (n <= 4) c->kinds[4 * order + n - 1]--;
    if (n < 4) c->kinds[4 * order + n]++;
}

/* The child of a context, moved to the front of its row, for frequent symbols come again. */
static int32_t find_in_front(tg_counts *c, int32_t of, int32_t symbol) {
    int32_t before = 0, child = c->nodes[of].below;
    while (child && c->nodes[child].symbol != symbol) before = child, child = c->nodes[child].next;
    if (child && before) {
        c->nodes[before].next = c->nodes[child].next;
        c->nodes[child].next = c->nodes[of].below;
        c->nodes[of].below = child;
    }
    return child;
}

static int add_symbol(tg_counts *c, int32_t symbol) {
    if (make_room(c)) return -1;
    const int64_t place = c->length;
    c->text[c->length++] = symbol;
    int counts = 1; /* whether the contexts that follow count it: none of a longer one did before */
    memset(c->ahead, 0, sizeof *c->ahead * ((size_t)c->order + 1));
    /* Contexts that have no node were never seen before. */
    for (int32_t k = c->depth + 1; k <= c->seen; k++) c->kinds[4 * k]++;
    for (int32_t k = c->depth; k >= 0; k--) {
        const int32_t of = c->path[k];
        if (k && !c->nodes[of].below) {
            c->nodes[of].below = (int32_t)(-1 - place);
            c->kinds[4 * k]++;
            continue;
        }
        if (c->nodes[of].below < 0) {
            const int64_t once = -1 - (int64_t)c->nodes[of].below;
            c->nodes[of].below = 0;
            add_child(c, of, c->text[once], after(c, once, k + 1));
        }
        int32_t child = k ? find_in_front(c, of, symbol) : c->first[symbol];
        if (!child) {
            child = add_child(c, of, symbol, 0);
            c->kinds[4 * k]++;
            if (!k) c->first[symbol] = child;
        } else if (counts) {
            count_again(c, child, k);
            counts = 0;
        }
        if (k < c->order) c->ahead[k + 1] = child;
    }
    int32_t *const past = c->path;
    c->path = c->ahead, c->ahead = past;
    if (symbol == c->end) c->seen = 0;
    if (c->seen < c->order) c->seen++;
    c->depth = 0;
    while (c->depth < c->seen && c->path[c->depth + 1]) c->depth++;
    return 0;
}

int64_t tg_counts_add(tg_counts *c, const int32_t *symbols, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (add_symbol(c, symbols[i])) return i;
    return n;
}

int tg_counts_restart(tg_counts *c) {
    if (make_room(c)) return -1;
    c->text[c->length++] = -1;
    c->depth = c->order && c->first[c->end] ? 1 : 0;
    if (c->depth) c->path[1] = c->first[c->end];
    c->seen = c->depth;
    return 0;
}

/* Between 0 and `most`, neither of them: with a discount of 0 what was never seen has no chance. */
static double within(double discount, double most) {
    const double least = 0.05;
    if (!(discount > least)) return least;
    return discount < most - least ? discount : most - least;
}

/* Let the children of a context lie one after the other, whose row is then read in order and not
 * from all over the memory. Contexts come before their children. Where memory ran out, all stays. */
static void put_in_rows(tg_counts *c) {
    count_node *rows = malloc((size_t)c->node_room * sizeof *rows);
    int32_t *moved = malloc((size_t)c->node_count * sizeof *moved);
    if (rows && moved) {
        int32_t count = 1;
        rows[0] = c->nodes[0], moved[0] = 0;
        for (int32_t of = 0; of < count; of++) {
            int32_t child = rows[of].below;
            if (child <= 0) continue;
            rows[of].below = count;
            for (; child; child = c->nodes[child].next, count++) {
                moved[child] = count;
                rows[count] = c->nodes[child];
                rows[count].next = rows[count].next ? count + 1 : 0;
            }
        }
        for (int32_t v = 0; v < c->vocab; v++) c->first[v] = moved[c->first[v]];
        for (int32_t k = 0; k <= c->depth; k++) c->path[k] = moved[c->path[k]];
        count_node *const past = c->nodes;
        c->nodes = rows, rows = past;
    }
    free(rows);
    free(moved);
}

void tg_counts_settle(tg_counts *c) {
    put_in_rows(c);
    for (int32_t k = 0; k <= c->order; k++) {
        const int64_t *n = c->kinds + 4 * k;
        double *d = c->discounts + 3 * k;
        const double one = (double)n[0], two = (double)n[1], three = (double)n[2];
        const double share = one + two > 0 ? one / (one + 2 * two) : 0.5;
        d[0] = within(one > 0 ? 1 - 2 * share * two / one : 0.5, 1);
        d[1] = within(two > 0 ? 2 - 3 * share * three / two : 1, 2);
        d[2] = within(three > 0 ? 3 - 4 * share * (double)n[3] / three : 1.5, 3);
    }
}

void tg_counts_discounts(const tg_counts *c, double *discounts) {
    memcpy(discounts, c->discounts, sizeof *discounts * 3 * ((size_t)c->order + 1));
}

void tg_counts_here(const tg_counts *c, int32_t *context) {
    for (int32_t k = 1; k <= c->order; k++) context[k - 1] = k <= c->depth ? c->path[k] : 0;
}

/* The context one symbol longer: as `below` is, a node or a place of the text; 0: never seen. */
static int32_t longer(const tg_counts *c, int32_t context, int32_t length, int32_t symbol) {
    const int32_t below = context > 0 ? c->nodes[context].below : context;
    if (below < 0) {
        const int64_t place = -1 - (int64_t)below;
        return c->text[place] == symbol ? after(c, place, length + 1) : 0;
    }
    int32_t child = below;
    while (child && c->nodes[child].symbol != symbol) child = c->nodes[child].next;
    return child;
}

void tg_counts_move(const tg_counts *c, int32_t *context, int32_t symbol) {
    for (int32_t k = c->order - 1; k > 0; k--)
        context[k] = symbol == c->end || !context[k - 1] ? 0 : longer(c, context[k - 1], k, symbol);
    if (c->order) context[0] = c->first[symbol];
}

int32_t tg_counts_predict(const tg_counts *c, const int32_t *context, double *next) {
    const int32_t V = c->vocab;
    /* All rows lie far from each other, and come while the first ones are read. */
    for (int32_t k = 0; k < c->order && context[k]; k++)
        if (context[k] > 0) __builtin_prefetch(c->nodes + context[k]);
    for (int32_t v = 0; v < V; v++) next[v] = 1.0 / V;
    for (int32_t k = 0; k < c->order && context[k]; k++)
        if (context[k] > 0 && c->nodes[context[k]].below > 0)
            __builtin_prefetch(c->nodes + c->nodes[context[k]].below);
    int32_t longest = 0;
    for (int32_t k = 0; k <= c->order; k++) {
        const int32_t at = k ? context[k - 1] : 0;
        if (k && !at) break;
        const double *d = c->discounts + 3 * k;
        const int32_t below = at >= 0 ? c->nodes[at].below : at;
        if (!below) break;
        longest = k;
        if (below < 0) {
            for (int32_t v = 0; v < V; v++) next[v] *= d[0];
            next[c->text[-1 - (int64_t)below]] += 1 - d[0];
            continue;
        }
        double total = 0, taken = 0;
        for (int32_t i = below; i; i = c->nodes[i].next) {
            const int32_t n = c->nodes[i].count;
            total += n;
            taken += d[n < 3 ? n - 1 : 2];
        }
        const double left = taken / total;
        for (int32_t v = 0; v < V; v++) next[v] *= left;
        for (int32_t i = below; i; i = c->nodes[i].next) {
            const int32_t n = c->nodes[i].count;
            next[c->nodes[i].symbol] += (n - d[n < 3 ? n - 1 : 2]) / total;
        }
    }
    return longest;
}

/* The bounds of an entropy's class, in nats. */
static const double BOUNDS[] = {0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.4, 1.9, 2.5, 3.5};
#define CLASSES ((int)(sizeof BOUNDS / sizeof *BOUNDS) + 1)

static int class_of(double entropy) {
    int i = 0;
    while (i < CLASSES - 1 && entropy > BOUNDS[i]) i++;
    return i;
}

/* The four sets of weights that act on one prediction, and the two distributions. */
typedef struct {
    int sets[4];
    double *network, *counts, *mixed; /* logarithms */
    double *shares;                   /* the mixed distribution itself */
    double of_network, of_counts;     /* the weights: the sums over the sets */
} blend;

/* The logarithm of the sum of e^log; `shares` become what each is of it. */
static double log_sum(const double *logs, int32_t n, double *shares) {
    double top = logs[0], sum = 0;
    for (int32_t v = 1; v < n; v++)
        if (logs[v] > top) top = logs[v];
    for (int32_t v = 0; v < n; v++) sum += shares[v] = exp(logs[v] - top);
    for (int32_t v = 0; v < n; v++) shares[v] /= sum;
    return top + log(sum);
}

static blend mixed(const tg_mixer *m, const float *logits) {
    const tg_counts *c = m->counts;
    const int32_t V = c->vocab;
    blend b = {.network = m->room, .counts = m->room + V, .mixed = m->room + 2 * (int64_t)V,
               .shares = m->room + 3 * (int64_t)V};
    for (int32_t v = 0; v < V; v++) b.network[v] = logits[v];
    const double all = log_sum(b.network, V, b.shares);
    double unsure_network = 0, unsure_counts = 0;
    for (int32_t v = 0; v < V; v++) {
        b.network[v] -= all;
        unsure_network -= b.shares[v] * b.network[v];
    }
    const int32_t longest = tg_counts_predict(c, m->context, b.counts);
    for (int32_t v = 0; v < V; v++) {
        const double p = b.counts[v];
        b.counts[v] = log(p);
        unsure_counts -= p * b.counts[v];
    }
    b.sets[0] = 0;
    b.sets[1] = 1 + class_of(unsure_network);
    b.sets[2] = 1 + CLASSES + class_of(unsure_counts);
    b.sets[3] = 1 + 2 * CLASSES + longest;
    for (int i = 0; i < 4; i++) {
        b.of_network += m->weights[2 * b.sets[i]];
        b.of_counts += m->weights[2 * b.sets[i] + 1];
    }
    for (int32_t v = 0; v < V; v++)
        b.mixed[v] = b.of_network * b.network[v] + b.of_counts * b.counts[v];
    const double sum = log_sum(b.mixed, V, b.shares);
    for (int32_t v = 0; v < V; v++) b.mixed[v] -= sum;
    return b;
}

int32_t tg_mix_sets(const tg_counts *c) { return 2 + 2 * CLASSES + c->order; }

void tg_mix(const tg_mixer *m, float *logits) {
    const blend b = mixed(m, logits);
    for (int32_t v = 0; v < m->counts->vocab; v++) logits[v] = (float)b.mixed[v];
}

/* The gradient of the cost of a symbol by a weight is the mean of what it weighs less its value. */
static void learn(const tg_mixer *m, const blend *b, int32_t symbol) {
    double gradient[2] = {-b->network[symbol], -b->counts[symbol]};
    for (int32_t v = 0; v < m->counts->vocab; v++) {
        gradient[0] += b->shares[v] * b->network[v];
        gradient[1] += b->shares[v] * b->counts[v];
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++) {
            const int at = 2 * b->sets[i] + j;
            m->squares[at] += gradient[j] * gradient[j];
            m->weights[at] -= m->rate * gradient[j] / sqrt(m->squares[at]);
        }
}

int64_t tg_mix_read(const tg_mixer *m, tg_counts *learning, const int32_t *symbols, int64_t n,
                    float *logits, double *nats) {
    const int32_t V = m->counts->vocab;
    for (int64_t i = 0; i < n; i++) {
        float *row = logits + i * V;
        const blend b = mixed(m, row);
        nats[i] = -b.mixed[symbols[i]];
        if (m->rate > 0) learn(m, &b, symbols[i]);
        for (int32_t v = 0; v < V; v++) row[v] = (float)b.mixed[v];
        if (!learning) {
            tg_counts_move(m->counts, m->context, symbols[i]);
        } else {
            if (tg_counts_add(learning, symbols + i, 1) < 1) return i;
            tg_counts_here(learning, m->context);
        }
    }
    return n;
}

int64_t tg_mix_write(const tg_mixer *m, tg_sampler *sampler, int isa, const tg_choice *choice,
                     int64_t n, int32_t end, int32_t previous, uint64_t counter, int32_t *history,
                     int64_t history_count, tg_edits edits, float *state, float *logits,
                     const tg_chosen *chosen) {
    const int threads = sampler->threads;
    tg_choice now = *choice;
    int64_t done = 0;
    /* To wake other threads for one token would take longer than the token. */
    sampler->threads = 1;
    for (int ended = 0; done < n && !ended; done++) {
        const int64_t seen = history_count + done;
        const int32_t before = done ? history[seen - 1] : previous;
        const uint64_t draw = counter + (uint64_t)done;
        const tg_chosen one = {history + seen, chosen->probabilities + done,
                               chosen->logprobs + done, chosen->prices + done};
        if (tg_choose(isa, 1, &now, m->counts->vocab, 1, logits, history, seen, &before, &draw,
                      &one) < 1 ||
            (choice->places && choice->places->state < 0))
            break;
        if (now.mirostat > 0.0)
            now.surprise = TG_NEXT_SURPRISE(&now, now.surprise, chosen->probabilities[done]);
        const int32_t symbol = history[seen];
        tg_sampler_read(sampler, &symbol, 1, edits, state, logits);
        tg_counts_move(m->counts, m->context, symbol);
        tg_mix(m, logits);
        ended = symbol == end;
    }
    sampler->threads = threads;
    return done;
}
