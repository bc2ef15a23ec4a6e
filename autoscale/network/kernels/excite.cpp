// The two small layers of squeeze-and-excitation, on rows of numbers, one an image. Of both matrices
// the longer side, C, lies along memory here; the second one's weights are turned as they come and go.

#include "activations.h"

namespace {

constexpr Index TOGETHER = 4;  // registers of sums

// result[n][s] = a[n] * b[s] over the columns, plus `added`[s] unless it is null.
void dots(const float *a, const float *b, const float *added, float *result, Index images,
          Index squeezed, Index channels) {
    for (Index n = 0; n < images; ++n)
        for (Index s = 0; s < squeezed; s += TOGETHER) {
            const Index together = std::min(TOGETHER, squeezed - s);
            vec sums[TOGETHER] = {};
            for (Index c = 0; c < channels; c += LANES) {
                const Index lanes = std::min(LANES, channels - c);
                const vec own = load(a + n * channels + c, lanes);
                for (Index k = 0; k < TOGETHER; ++k)
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
    for (Index c = 0; c < channels; c += TOGETHER * LANES)
        for (Index r = 0; r < rows; ++r) {
            vec sums[TOGETHER];
            const auto lanes = [&](Index k) {
                return std::clamp<Index>(channels - c - k * LANES, 0, LANES);
            };
            for (Index k = 0; k < TOGETHER; ++k)
                sums[k] = added && lanes(k) ? load(added + c + k * LANES, lanes(k)) : vec{};
            if (c + TOGETHER * LANES <= channels)
                for (Index t = 0; t < terms; ++t) {
                    const float factor = factors[r * down + t * along];
                    for (Index k = 0; k < TOGETHER; ++k)
                        sums[k] += factor * load(b + t * channels + c + k * LANES, LANES);
                }
            else
                for (Index t = 0; t < terms; ++t) {
                    const float factor = factors[r * down + t * along];
                    for (Index k = 0; k < TOGETHER; ++k)
                        if (lanes(k))
                            sums[k] += factor * load(b + t * channels + c + k * LANES, lanes(k));
                }
            for (Index k = 0; k < TOGETHER; ++k)
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

}  // namespace

extern "C" {

// reduced = pooled * first' + first_bias, active = act(reduced), gate = sigmoid(active * second' +
// second_bias). Rows: `pooled` and `gate` (N, C), `reduced` and `active` (N, S); `first` (S, C),
// `second` (C, S).
void excite_forward(const float *pooled, const float *first, const float *first_bias,
                    const float *second, const float *second_bias, float *reduced, float *active,
                    float *gate, Index images, Index channels, Index squeezed, int activation) {
    dots(pooled, first, first_bias, reduced, images, squeezed, channels);
    with_activation(activation, [=](auto a) {
        for (Index i = 0; i < images * squeezed; ++i) {
            const Lanes<1>::floats x = {reduced[i]};
            active[i] = activate<a()>(Lanes<1>(), x)[0];
        }
    });
    float *turned = reinterpret_cast<float *>(scratch(0, channels * squeezed / LANES + 1));
    turn(second, turned, channels, squeezed);
    blend(active, squeezed, 1, turned, second_bias, gate, images, squeezed, channels,
          [](vec v) ALWAYS_INLINE_LAMBDA {
              return (vec)sigmoid(Lanes<LANES>(), (Lanes<LANES>::floats)v);
          });
}

// The gradients of all that, from that of the gate times the gate, which is written over.
void excite_backward(float *of_gate, const float *pooled, const float *reduced, const float *active,
                     const float *gate, const float *first, const float *second, float *of_pooled,
                     float *of_first, float *of_first_bias, float *of_second, float *of_second_bias,
                     Index images, Index channels, Index squeezed, int activation) {
    // The sigmoid's slope is gate * (1 - gate), of which one factor is there.
    for (Index i = 0; i < images * channels; ++i) of_gate[i] *= 1.0f - gate[i];
    const Index weights = channels * squeezed / LANES + 1;
    float *turned = reinterpret_cast<float *>(scratch(0, weights));
    float *of_turned = reinterpret_cast<float *>(scratch(1, weights));
    float *of_reduced = reinterpret_cast<float *>(scratch(2, images * squeezed / LANES + 1));
    turn(second, turned, channels, squeezed);
    dots(of_gate, turned, nullptr, of_reduced, images, squeezed, channels);
    with_activation(activation, [=](auto a) {
        for (Index i = 0; i < images * squeezed; ++i) {
            const Lanes<1>::floats x = {reduced[i]};
            of_reduced[i] *= slope<a()>(Lanes<1>(), x)[0];
        }
    });
    blend(active, 1, squeezed, of_gate, of_turned, squeezed, images, channels);
    turn(of_turned, of_second, squeezed, channels);
    add_rows(of_gate, of_second_bias, images, channels);
    blend(of_reduced, 1, squeezed, pooled, of_first, squeezed, images, channels);
    add_rows(of_reduced, of_first_bias, images, squeezed);
    blend(of_reduced, squeezed, 1, first, of_pooled, images, squeezed, channels);
}

}  // extern "C"
