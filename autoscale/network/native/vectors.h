// What all kernels are made of: registers, scratch memory, loops over rows and channels.
//
// Tensors are float32 in channels-last order: a map of (N, C, H, W) lies as N * H * W rows of C
// numbers. Every function is deterministic for a given number of threads: work is cut by images or
// by rows, and partial sums are added in that order. Nothing is allocated but scratch memory of a
// few hundred kilobytes a thread, which is kept for the next call.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

using Index = std::int64_t;

// What stands in inner loops must dissolve in them.
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define ALWAYS_INLINE_LAMBDA __attribute__((always_inline))

constexpr Index LANES = 16;  // channels that are computed together: one AVX-512 register

// COUNT neighbouring channels, wherever they lie. The compiler makes of them what the machine has.
template <Index COUNT>
struct Lanes {
    typedef float floats __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
    typedef std::int32_t ints __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
};
typedef float vec __attribute__((vector_size(4 * LANES), aligned(64), may_alias));

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;

inline Memory allocate(Index bytes) {
    return Memory(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
}

// Scratch memory of one thread, grown when needed.
inline vec *scratch(int which, Index count) {
    static thread_local Memory memory[4];
    static thread_local Index size[4];
    if (size[which] < count) {
        memory[which].reset();  // before the new one, so that both never exist together
        memory[which] = allocate(count * static_cast<Index>(sizeof(vec)));
        size[which] = count;
    }
    return static_cast<vec *>(memory[which].get());
}

inline std::unique_ptr<double[]> zeros(Index count) { return std::make_unique<double[]>(count); }

// The first `lanes` of 16 numbers; the others are zero.
ALWAYS_INLINE vec load(const float *from, Index lanes) {
    if (lanes == LANES) return *reinterpret_cast<const Lanes<LANES>::floats *>(from);
#ifdef __AVX512F__
    return (vec)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << lanes) - 1), from);
#else
    vec v = {};
    std::memcpy(&v, from, lanes * sizeof(float));
    return v;
#endif
}

ALWAYS_INLINE void store(float *to, vec v, Index lanes) {
    if (lanes == LANES) {
        *reinterpret_cast<Lanes<LANES>::floats *>(to) = v;
        return;
    }
#ifdef __AVX512F__
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << lanes) - 1), (__m512)v);
#else
    std::memcpy(to, &v, lanes * sizeof(float));
#endif
}

// Runs run(lanes, c) for groups of channels: sixteens, then perhaps an eight, then single ones.
template <typename Run>
ALWAYS_INLINE void for_channels(Index channels, Run run) {
    Index c = 0;
    for (; c + 16 <= channels; c += 16) run(Lanes<16>(), c);
    if (c + 8 <= channels) run(Lanes<8>(), c), c += 8;
    for (; c < channels; ++c) run(Lanes<1>(), c);
}

template <typename L>
ALWAYS_INLINE typename L::floats &at(L, float *numbers) {
    return *reinterpret_cast<typename L::floats *>(numbers);
}

template <typename L>
ALWAYS_INLINE typename L::floats at(L, const float *numbers) {
    return *reinterpret_cast<const typename L::floats *>(numbers);
}

// Calls run(first, last, part) for `parts` shares of the rows, on as many threads.
template <typename Run>
void for_parts(Index rows, int parts, Run run) {
#pragma omp parallel for num_threads(parts) if (parts > 1) schedule(static, 1)
    for (int part = 0; part < parts; ++part) run(rows * part / parts, rows * (part + 1) / parts, part);
}

}  // namespace
