// What the kernels of an inverted bottleneck make for a product to read, some rows at a time.

#pragma once

#include "ways.h"

namespace {

constexpr Index FEW_CHANNELS = 192;

// Rows that are made together: whole tiles, and whole blocks of dot products.
Index rows_of_panel(Index channels) { return channels > FEW_CHANNELS ? 96 : 192; }

// Calls run(start, end) for panels of rows [first, last).
template <typename Run>
void for_panels(Index first, Index last, Index channels, Run run) {
    const Index step = rows_of_panel(channels);
    for (Index start = first; start < last; start += step) run(start, std::min(start + step, last));
}

// Scratch memory for so many.
Number *numbers_in(int which, Index count) {
    constexpr Index EACH = sizeof(vec) / sizeof(Number);
    return reinterpret_cast<Number *>(scratch(which, count / EACH + 1));
}

Number *panel(int which, Index channels) {
    return numbers_in(which, rows_of_panel(channels) * channels);
}

constexpr Index NUMBER = sizeof(Number);
constexpr Index PIECE_BYTES = 256 * 1024;  // of a wide map; some of them stay in the second cache

// Images of a wide map that are worked on together.
Index images_of_piece(Index pixels, Index channels) {
    return std::max<Index>(1, PIECE_BYTES / (NUMBER * pixels * channels));
}

// A map act(z * scale + shift) * gate[n], which nobody has stored; without a gate where it is null.
struct Hidden {
    const Number *z;
    const float *statistics, *gate;
    Index pixels, channels;
    int activation;

    // Rows [start, end) to `to`, and the activation's slope there unless `slopes` is null.
    void make(Index start, Index end, Number *to, Number *slopes) const {
        const float *scale = statistics + 2 * channels, *shift = scale + channels;
        with_activation(activation, [=](auto a) {
            for (Index row = start; row < end; ++row) {
                const Index from = row * channels, i = (row - start) * channels;
                const float *factor = gate ? gate + row / pixels * channels : nullptr;
                for_channels(channels, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                    const auto x = at(lanes, z + from + c) * at(lanes, scale + c) +
                        at(lanes, shift + c);
                    const auto y = activate<a()>(lanes, x);
                    if (slopes) put(lanes, slopes + i + c, slope<a()>(lanes, x));
                    put(lanes, to + i + c, factor ? y * at(lanes, factor + c) : y);
                });
            }
        });
    }

    // The rows of an image without its gate, and their means, one a channel.
    void make_pooled(Index image, Number *to, float *means) const {
        const float *scale = statistics + 2 * channels, *shift = scale + channels;
        const Index first = image * pixels, width = channels, last = first + pixels;
        const Number *from = z;
        std::fill(means, means + channels, 0.0f);
        with_activation(activation, [=](auto a) {
            for (Index row = first; row < last; row += TOGETHER) {
                const Index end = std::min(row + TOGETHER, last);
                for_channels(width, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                    auto sum = at(lanes, means + c);
                    for (Index r = row; r < end; ++r) {
                        const auto y = activate<a()>(
                            lanes, at(lanes, from + r * width + c) * at(lanes, scale + c) +
                                at(lanes, shift + c));
                        put(lanes, to + (r - first) * width + c, y);
                        sum += y;
                    }
                    put(lanes, means + c, sum);
                });
            }
        });
        for (Index c = 0; c < channels; ++c) means[c] /= static_cast<float>(pixels);
    }
};

// A norm's gradient a * pre + b * z + c, which nobody has stored.
struct OfNorm {
    const Number *pre, *z;
    const float *coefficients;
    Index channels;

    void make(Index start, Index end, Number *to) const {
        const float *a = coefficients, *b = a + channels, *constant = b + channels;
        const Index width = channels;
        const Number *from = pre, *map = z;
        for (Index row = start; row < end; ++row)
            for_channels(width, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                const Index i = row * width + c;
                put(lanes, to + (row - start) * width + c,
                    at(lanes, from + i) * at(lanes, a + c) +
                        (at(lanes, map + i) * at(lanes, b + c) + at(lanes, constant + c)));
            });
    }
};

}  // namespace

