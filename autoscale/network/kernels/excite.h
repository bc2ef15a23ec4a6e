// The two small layers of squeeze-and-excitation, on rows of numbers, one an image. Of both matrices
// the longer side, C, lies along memory here; the second one's weights are turned as they come and go.

#pragma once

#include "activations.h"

namespace {

constexpr Index TERMS = 4;  // registers of sums

// result[n][s] = a[n] * b[s] over the columns, plus `added`[s] unless it is null.
void dots(const float *a, const float *b, const float *added, float *result, Index images,
          Index squeezed, Index channels) {
    for (Index n = 0; n < images; ++n)
        for (Index s = 0; s < squeezed; s += TERMS) {
            const Index together = std::min(TERMS, squeezed - s);
            vec sums[TERMS] = {};
            for (Index c = 0; c < channels; c += LANES) {
                const Index lanes = std::min(LANES, channels - c);
                const vec own = load(a + n * channels + c, lanes);
                for (Index k = 0; k < TERMS; ++k)
                    if (k < together) sums[k] += own * load(b + (s + k) * channels + c, lanes);
            }
            for (Index k = 0; k < together; ++k) {
                float sum = added ? added[s + k] : 0.0f;
                for (Index lane = 0; lane < LANES; ++lane) sum += sums[k][lane];
                result[n * squeezed + s + k] = sum;
            }
        }
}

// result[r] = `added` (zeros where null) plus the rows b[k], each times factors[r * down + k * along].
template <typename Finish>
void blend(const float *factors, Index down, Index along, const float *b, const float *added,
           float *result, Index rows, Index terms, Index channels, Finish finish) {
    for (Index c = 0; c < channels; c += TERMS * LANES)
        for (Index r = 0; r < rows; ++r) {
            vec sums[TERMS];
            const auto lanes = [&](Index k) {
                return std::clamp<Index>(channels - c - k * LANES, 0, LANES);
            };
            for (Index k = 0; k < TERMS; ++k)
                sums[k] = added && lanes(k) ? load(added + c + k * LANES, lanes(k)) : vec{};
            if (c + TERMS * LANES <= channels)
                for (Index t = 0; t < terms; ++t) {
                    const float factor = factors[r * down + t * along];
                    for (Index k = 0; k < TERMS; ++k)
                        sums[k] += factor * load(b + t * channels + c + k * LANES, LANES);
                }
            else
                for (Index t = 0; t < terms; ++t) {
                    const float factor = factors[r * down + t * along];
                    for (Index k = 0; k < TERMS; ++k)
                        if (lanes(k))
                            sums[k] += factor * load(b + t * channels + c + k * LANES, lanes(k));
                }
            for (Index k = 0; k < TERMS; ++k)
                if (lanes(k))
                    store(result + r * channels + c + k * LANES, finish(sums[k]), lanes(k));
        }
}

void blend(const float *factors, Index down, Index along, const float *b, float *result, Index rows,
           Index terms, Index channels) {
    blend(factors, down, along, b, nullptr, result, rows, terms, channels,
          [](vec v) ALWAYS_INLINE_LAMBDA { return v; });
}

void add_rows(const float *map, float *sums, Index rows, Index columns) {
    std::fill(sums, sums + columns, 0.0f);
    for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < columns; ++c) sums[c] += map[r * columns + c];
}

void turn(const float *from, float *to, Index rows, Index columns) {
    for (Index c = 0; c < columns; ++c)
        for (Index r = 0; r < rows; ++r) to[c * rows + r] = from[r * columns + c];
}

// What the layers were given and gave: reduced = pooled * first' + first_bias, active = act(reduced),
// gate = sigmoid(active * second' + second_bias). `pooled` and `gate` are (N, C), `reduced` and
// `active` (N, S).
struct Excited {
    float *pooled, *reduced, *active, *gate;
};

struct Excite {
    Excite(const float *first, const float *second, Index channels, Index squeezed, int activation)
        : first(first), channels(channels), squeezed(squeezed), activation(activation),
          turned(std::make_unique<float[]>(channels * squeezed)) {
        turn(second, turned.get(), channels, squeezed);
    }

    // All but `pooled`, of images [n, n + count).
    void forward(const Excited &of, const float *first_bias, const float *second_bias, Index n,
                 Index count) const {
        const float *reduced = of.reduced + n * squeezed;
        float *active = of.active + n * squeezed;
        dots(of.pooled + n * channels, first, first_bias, of.reduced + n * squeezed, count, squeezed,
             channels);
        with_activation(activation, [=](auto a) {
            for (Index i = 0; i < count * squeezed; ++i) {
                const Lanes<1>::floats x = {reduced[i]};
                active[i] = activate<a()>(Lanes<1>(), x)[0];
            }
        });
        blend(active, squeezed, 1, turned.get(), second_bias, of.gate + n * channels, count, squeezed,
              channels, [](vec v) ALWAYS_INLINE_LAMBDA {
                  return (vec)sigmoid(Lanes<LANES>(), (Lanes<LANES>::floats)v);
              });
    }

    // Of these images, from the gradient of the gate times the gate, which becomes that of what the
    // sigmoid took: `of_reduced`, (N, S), and `of_pooled`, whose first row is that of image n.
    void backward(const Excited &of, float *of_gate, float *of_reduced, float *of_pooled, Index n,
                  Index count) const {
        float *own = of_gate + n * channels, *squeezed_own = of_reduced + n * squeezed;
        const float *gate = of.gate + n * channels, *reduced = of.reduced + n * squeezed;
        // The sigmoid's slope is gate * (1 - gate), of which one factor is there.
        for (Index i = 0; i < count * channels; ++i) own[i] *= 1.0f - gate[i];
        dots(own, turned.get(), nullptr, squeezed_own, count, squeezed, channels);
        const Index numbers = count * squeezed;
        with_activation(activation, [=](auto a) {
            for (Index i = 0; i < numbers; ++i) {
                const Lanes<1>::floats x = {reduced[i]};
                squeezed_own[i] *= slope<a()>(Lanes<1>(), x)[0];
            }
        });
        blend(squeezed_own, squeezed, 1, first, of_pooled, count, squeezed, channels);
    }

    // The gradients of the parameters, of all images, from what `backward` gave.
    void differentiate(const Excited &of, const float *of_expanded, const float *of_reduced,
                       float *of_first, float *of_first_bias, float *of_second,
                       float *of_second_bias, Index images) const {
        const auto of_turned = std::make_unique<float[]>(channels * squeezed);
        blend(of.active, 1, squeezed, of_expanded, of_turned.get(), squeezed, images, channels);
        turn(of_turned.get(), of_second, squeezed, channels);
        add_rows(of_expanded, of_second_bias, images, channels);
        blend(of_reduced, 1, squeezed, of.pooled, of_first, squeezed, images, channels);
        add_rows(of_reduced, of_first_bias, images, squeezed);
    }

    const float *first;  // (S, C)
    Index channels, squeezed;
    int activation;
    std::unique_ptr<float[]> turned;  // the second one's, (S, C)
};

}  // namespace
