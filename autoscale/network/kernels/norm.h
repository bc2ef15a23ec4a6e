// What batch norm needs beside a map: its moments forwards, two sums backwards.
//
// A map z with statistics (four rows of C numbers: mean, 1 / sqrt(variance + eps), scale, shift)
// stands for y = act(z * scale + shift). Kernels that read y compute it from z as they load it; it
// is never stored. Likewise `pre`, the gradient before the activation, with coefficients (three
// rows of C: a, b, c) stands for z's gradient a * pre + b * z + c.

#pragma once

#include "activations.h"

namespace {

// A norm that takes part in training, and its statistics.
struct Norm {
    const float *gamma, *beta;
    double eps, momentum;
    float *statistics, *running_mean, *running_variance;

    // Of a channel with this mean and sum of squared differences to it. The running statistics move
    // by `momentum`, the variance unbiased.
    void finish(Index channels, Index c, Index count, double middle, double squared) const {
        float *mean = statistics, *inverse = mean + channels, *scale = inverse + channels,
              *shift = scale + channels;
        const double variance = squared < 0.0 ? 0.0 : squared / count;
        const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
        mean[c] = static_cast<float>(middle);
        inverse[c] = static_cast<float>(1.0 / std::sqrt(variance + eps));
        scale[c] = gamma[c] * inverse[c];
        shift[c] = beta[c] - mean[c] * scale[c];
        running_mean[c] += static_cast<float>(momentum * (mean[c] - running_mean[c]));
        running_variance[c] += static_cast<float>(momentum * (unbiased - running_variance[c]));
    }
};

// Sums over rows of a map, a share of the rows a thread, of differences to the share's first row:
// no digits are lost where the mean is large.
struct Moments {
    Moments(Index channels, int parts)
        : channels(channels), parts(parts), sums(zeros(2 * channels * parts)),
          references(std::make_unique<float[]>(channels * parts)),
          rows(std::make_unique<Index[]>(parts)) {}

    double *differences(int part) { return sums.get() + 2 * channels * part; }
    double *squares(int part) { return differences(part) + channels; }
    float *reference(int part) { return references.get() + channels * part; }

    // Adds a share's next rows, its first ones before all others.
    void add(int part, const Number *map, Index count);

    // Adds these rows to those that `total` knows: their number, the means, and the squares of the
    // differences to these, 1 + 2 C numbers.
    void add_to(double *total) const;

    // The statistics of all rows.
    void finish(const Norm &norm);

    Index channels;
    int parts;
    std::unique_ptr<double[]> sums;
    std::unique_ptr<float[]> references;
    std::unique_ptr<Index[]> rows;
};

constexpr Index CHUNK = 128;   // rows summed in float32 before their sum joins the total in float64
constexpr Index TOGETHER = 4;  // rows whose sums stay in registers

// Adds to `one` and `two` the sums over rows [first, last) of what `terms` adds for the numbers at
// (row, channels). `total` is C numbers of one, then C of two.
template <typename Terms>
void sum_rows(Index first, Index last, Index channels, double *total, Terms terms) {
    float *a = reinterpret_cast<float *>(scratch(3, 2 * channels / LANES + 1)), *b = a + channels;
    for (Index start = first; start < last; start += CHUNK) {
        const Index end = std::min(start + CHUNK, last);
        std::fill(a, a + 2 * channels, 0.0f);
        for (Index row = start; row < end; row += TOGETHER) {
            const Index together = std::min(TOGETHER, end - row);
            for_channels(channels, [&](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                // Copies: a reference deduced by `terms` would forget how loosely they lie.
                auto one = at(lanes, a + c), two = at(lanes, b + c);
                if (together == TOGETHER)
                    for (int r = 0; r < TOGETHER; ++r) terms(lanes, row + r, c, one, two);
                else
                    for (int r = 0; r < together; ++r) terms(lanes, row + r, c, one, two);
                put(lanes, a + c, one);
                put(lanes, b + c, two);
            });
        }
        for (Index c = 0; c < 2 * channels; ++c) total[c] += a[c];
    }
}

inline void Moments::add(int part, const Number *map, Index count) {
    float *first = reference(part);
    if (rows[part] == 0 && count > 0)
        for_channels(channels, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
            put(lanes, first + c, at(lanes, map + c));
        });
    rows[part] += count;
    const Index width = channels;
    sum_rows(0, count, channels, differences(part),
             [=](auto lanes, Index row, Index c, auto &a, auto &b) ALWAYS_INLINE_LAMBDA {
                 const auto difference = at(lanes, map + row * width + c) - at(lanes, first + c);
                 a += difference;
                 b += difference * difference;
             });
}

inline void Moments::finish(const Norm &norm) {
    Index count = 0;
    for (int part = 0; part < parts; ++part) count += rows[part];
    for (Index c = 0; c < channels; ++c) {
        double middle = 0.0, squared = 0.0;
        for (int part = 0; part < parts; ++part)
            if (rows[part])
                middle += (rows[part] * static_cast<double>(reference(part)[c]) +
                           differences(part)[c]) / count;
        for (int part = 0; part < parts; ++part)
            if (rows[part]) {
                const double off = differences(part)[c] / rows[part];
                const double apart = reference(part)[c] + off - middle;
                squared += squares(part)[c] + rows[part] * (apart * apart - off * off);
            }
        norm.finish(channels, c, count, middle, squared);
    }
}

// Source: Chan et al. 1979, for two sets of rows at a time.
inline void Moments::add_to(double *total) const {
    double &count = total[0], *means = total + 1, *squared = means + channels;
    for (int part = 0; part < parts; ++part) {
        if (rows[part] == 0) continue;
        const double own = static_cast<double>(rows[part]), all = count + own;
        const double *difference = sums.get() + 2 * channels * part, *square = difference + channels;
        const float *first = references.get() + channels * part;
        for (Index c = 0; c < channels; ++c) {
            const double off = difference[c] / own, apart = first[c] + off - means[c];
            means[c] += apart * own / all;
            squared[c] += square[c] - own * off * off + apart * apart * own * (count / all);
        }
        count = all;
    }
}

// Sums of pre and of pre * (z - mean), a share of the rows a thread.
struct GradientSums {
    GradientSums(Index channels, int parts)
        : channels(channels), parts(parts), sums(zeros(2 * channels * parts)) {}

    double *of(int part) { return sums.get() + 2 * channels * part; }

    // The gradients of gamma and beta, and the coefficients of z's: scale * (pre - mean(pre) -
    // normalised * mean(pre * normalised)) as a * pre + b * z + c.
    void finish(Index rows, const float *statistics, float *of_gamma, float *of_beta,
                float *coefficients) const {
        const auto total = zeros(2 * channels);
        for (Index i = 0; i < 2 * channels * parts; ++i) total[i % (2 * channels)] += sums[i];
        const float *mean = statistics, *inverse = mean + channels, *scale = inverse + channels;
        for (Index c = 0; c < channels; ++c) {
            const double one = total[c], two = total[channels + c];
            of_beta[c] = static_cast<float>(one);
            of_gamma[c] = static_cast<float>(two * inverse[c]);
            const double b = -two / rows * inverse[c] * inverse[c] * scale[c];
            coefficients[c] = scale[c];
            coefficients[channels + c] = static_cast<float>(b);
            coefficients[2 * channels + c] = static_cast<float>(-one / rows * scale[c] - b * mean[c]);
        }
    }

    Index channels;
    int parts;
    std::unique_ptr<double[]> sums;
};

}  // namespace
