// Windows of images of bytes, resized and mirrored: what a batch of training images is made of.
//
// The arithmetic is that of torch's antialiased bilinear resizing of bytes: weights of 16 bits,
// first along rows, then along columns, rounded to bytes after each. Where torch has it in vector
// instructions (AVX2), both give the same bytes. Source: ATen, UpSampleKernelAVXAntialias.h and
// `HelperInterpBase` in UpSampleKernel.cpp, which follow Pillow's Resample.c.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using Index = std::int64_t;
using Byte = std::uint8_t;

// For each pixel of the result: the pixels that it is made of, and their shares.
struct Shares {
    Index taps = 0;                     // the most that a pixel is made of
    std::vector<Index> start;           // the first of them
    std::vector<std::int32_t> weights;  // `taps` a pixel; those beyond the last are 0
    int precision = 0;                  // their sum is about 1 << precision
    std::vector<double> exact;

    void set(Index from, Index to) {
        const double scale = static_cast<double>(from) / static_cast<double>(to);
        const double support = std::max(scale, 1.0), squeeze = 1.0 / support;
        taps = std::min(from, static_cast<Index>(std::ceil(support)) * 2 + 1);
        start.resize(to);
        exact.assign(to * taps, 0.0);
        weights.resize(to * taps);
        double largest = 0.0;
        for (Index i = 0; i < to; ++i) {
            const double centre = scale * (static_cast<double>(i) + 0.5);
            const Index first = std::max(static_cast<Index>(centre - support + 0.5), Index(0));
            const Index last = std::min(static_cast<Index>(centre + support + 0.5), from);
            // So far to the left that all taps lie inside; the first ones then have no share.
            start[i] = std::min(first, from - taps);
            double *own = &exact[i * taps], total = 0.0;
            for (Index j = first; j < last && j < start[i] + taps; ++j) {
                const double x = std::abs((static_cast<double>(j) - centre + 0.5) * squeeze);
                own[j - start[i]] = x < 1.0 ? 1.0 - x : 0.0;
                total += own[j - start[i]];
            }
            for (Index t = 0; t < taps; ++t) {
                if (total != 0.0) own[t] /= total;
                largest = std::max(largest, own[t]);
            }
        }
        for (precision = 0; precision < 22; ++precision)
            if (static_cast<int>(0.5 + largest * (1 << (precision + 1))) >= (1 << 15)) break;
        for (std::size_t i = 0; i < weights.size(); ++i)
            weights[i] = static_cast<std::int32_t>(0.5 + exact[i] * (1 << precision));
        drop_idle_taps(from);
    }

    // Enlarging leaves one of three taps without a share nearly everywhere: two will do then.
    void drop_idle_taps(Index from) {
        while (taps > 1) {
            const Index count = static_cast<Index>(start.size());
            for (Index i = 0; i < count; ++i)
                if (weights[i * taps] != 0 && weights[i * taps + taps - 1] != 0) return;
            for (Index i = 0; i < count; ++i) {
                const std::int32_t *own = &weights[i * taps];
                const bool front = own[0] == 0 && start[i] + 1 + taps - 1 <= from;
                std::memmove(&weights[i * (taps - 1)], own + (front ? 1 : 0),
                             (taps - 1) * sizeof(std::int32_t));
                if (front) ++start[i];
            }
            --taps;
        }
    }
};

inline Byte rounded(std::int32_t sum, int precision) {
    return static_cast<Byte>(std::clamp(sum >> precision, 0, 255));
}

// One row of pixels, `to` of them made of others; mirrored if `step` is below 0.
template <Index CHANNELS, Index TAPS>
void along_row(const Byte *input, Byte *output, Index to, const Shares &shares, Index step) {
    const Index taps = TAPS ? TAPS : shares.taps;
    const std::int32_t half = 1 << (shares.precision - 1);
    for (Index x = 0; x < to; ++x, output += step) {
        const Byte *from = input + shares.start[x] * CHANNELS;
        const std::int32_t *weight = &shares.weights[x * taps];
        std::int32_t sums[CHANNELS];
        for (Index c = 0; c < CHANNELS; ++c) sums[c] = half;
        for (Index t = 0; t < taps; ++t)
            for (Index c = 0; c < CHANNELS; ++c) sums[c] += weight[t] * from[t * CHANNELS + c];
        for (Index c = 0; c < CHANNELS; ++c) output[c] = rounded(sums[c], shares.precision);
    }
}

// One row made of `taps` rows that follow each other at a distance of `stride` bytes.
void across_rows(const Byte *input, Index stride, Byte *output, Index bytes, Index taps,
                 const std::int32_t *weights, int precision) {
    const std::int32_t half = 1 << (precision - 1);
    if (taps == 2) {
        const std::int32_t one = weights[0], two = weights[1];
        for (Index i = 0; i < bytes; ++i)
            output[i] = rounded(half + one * input[i] + two * input[i + stride], precision);
        return;
    }
    for (Index i = 0; i < bytes; ++i) {
        std::int32_t sum = half;
        for (Index t = 0; t < taps; ++t) sum += weights[t] * input[t * stride + i];
        output[i] = rounded(sum, precision);
    }
}

Index reflected(Index i, Index side) {
    if (i < 0) i = -i;
    return i < side ? i : 2 * (side - 1) - i;
}

template <Index CHANNELS>
void copy_row(const Byte *row, Index side, Index left, Index width, Byte *output, bool mirrored) {
    if (!mirrored) {
        const Index first = std::max(Index(0), -left), last = std::min(width, side - left);
        std::memcpy(output + first * CHANNELS, row + (left + first) * CHANNELS,
                    (last - first) * CHANNELS);
        for (Index x = 0; x < first; ++x)
            std::memcpy(output + x * CHANNELS, row + reflected(left + x, side) * CHANNELS, CHANNELS);
        for (Index x = last; x < width; ++x)
            std::memcpy(output + x * CHANNELS, row + reflected(left + x, side) * CHANNELS, CHANNELS);
        return;
    }
    for (Index x = 0; x < width; ++x) {
        const Byte *from = row + reflected(left + x, side) * CHANNELS;
        Byte *to = output + (width - 1 - x) * CHANNELS;
        for (Index c = 0; c < CHANNELS; ++c) to[c] = from[c];
    }
}

struct Window {
    std::int32_t top, left, height, width;
};

struct Size {
    Index height, width;
    Index pixels() const { return height * width; }
};

template <Index CHANNELS>
void cut(const Byte *image, Size stored, const Window &w, bool mirrored, Byte *output, Size size) {
    static thread_local Shares horizontal, vertical;
    static thread_local std::vector<Byte> scratch;
    const Index bytes = size.width * CHANNELS;
    Byte *narrow = output;
    if (w.height != size.height) {
        scratch.resize(w.height * bytes);
        narrow = scratch.data();
    }
    if (w.width != size.width) horizontal.set(w.width, size.width);
    const Index step = mirrored ? -CHANNELS : CHANNELS;
    for (Index y = 0; y < w.height; ++y) {
        const Byte *row = image + reflected(w.top + y, stored.height) * stored.width * CHANNELS;
        Byte *to = narrow + y * bytes;
        if (w.width == size.width) {
            copy_row<CHANNELS>(row, stored.width, w.left, w.width, to, mirrored);
            continue;
        }
        const Byte *from = row + w.left * CHANNELS;
        Byte *first = mirrored ? to + bytes - CHANNELS : to;
        switch (horizontal.taps) {
            case 2: along_row<CHANNELS, 2>(from, first, size.width, horizontal, step); break;
            case 3: along_row<CHANNELS, 3>(from, first, size.width, horizontal, step); break;
            default: along_row<CHANNELS, 0>(from, first, size.width, horizontal, step);
        }
    }
    if (w.height == size.height) return;
    vertical.set(w.height, size.height);
    for (Index y = 0; y < size.height; ++y)
        across_rows(narrow + vertical.start[y] * bytes, bytes, output + y * bytes, bytes,
                    vertical.taps, &vertical.weights[y * vertical.taps], vertical.precision);
}

template <Index CHANNELS>
void cut_all(const Byte *images, const Index *rows, const Window *window, const Byte *mirrored,
             Byte *output, Index count, Size stored, Size size, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (Index b = 0; b < count; ++b)
        cut<CHANNELS>(images + rows[b] * stored.pixels() * CHANNELS, stored, window[b],
                      mirrored[b] != 0, output + b * size.pixels() * CHANNELS, size);
}

// Any number of channels: each is taken out of its image, cut as grey is, and put in its place.
void cut_bands(const Byte *images, const Index *rows, const Window *window, const Byte *mirrored,
               Byte *output, Index count, Size stored, Size size, Index channels, int threads) {
    const Index input = stored.pixels(), made = size.pixels();
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (Index b = 0; b < count; ++b) {
        static thread_local std::vector<Byte> plane, result;
        plane.resize(input);
        result.resize(made);
        const Byte *from = images + rows[b] * input * channels;
        Byte *to = output + b * made * channels;
        for (Index c = 0; c < channels; ++c) {
            for (Index i = 0; i < input; ++i) plane[i] = from[i * channels + c];
            cut<1>(plane.data(), stored, window[b], mirrored[b] != 0, result.data(), size);
            for (Index i = 0; i < made; ++i) to[i * channels + c] = result[i];
        }
    }
}

}  // namespace

extern "C" {

// output[b] = the window (top, left, height, width) of images[rows[b]], resized to `high` x `wide`
// and mirrored left to right if asked. Images are (height, width, channels) bytes; more channels
// than three are cut one by one, as no pixel's channels share arithmetic.
// A window as high, or as wide, as the result may reach over those borders by less than the image
// is long there, where it is reflected; others lie inside.
void cut_windows(const Byte *images, const Index *rows, const std::int32_t *windows,
                 const Byte *mirrored, Byte *output, Index count, Index height, Index width,
                 Index high, Index wide, Index channels, int threads) {
    const Size stored{height, width}, size{high, wide};
    const Window *window = reinterpret_cast<const Window *>(windows);
    if (channels != 1 && channels != 3) {
        cut_bands(images, rows, window, mirrored, output, count, stored, size, channels, threads);
        return;
    }
    const auto all = channels == 1 ? cut_all<1> : cut_all<3>;
    all(images, rows, window, mirrored, output, count, stored, size, threads);
}

}  // extern "C"
