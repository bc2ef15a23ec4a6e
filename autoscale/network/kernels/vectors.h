// What all kernels are made of: registers, scratch memory, loops over rows and channels.
//
// Tensors are in channels-last order: a map of (N, C, H, W) lies as N * H * W rows of C numbers. Maps
// are float32, or bfloat16 if BFLOAT16_MAPS is defined; all else is float32, and so is what is
// computed with. Every function is deterministic for a given number of threads: work is cut by images or
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
#include <vector>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

using Index = std::int64_t;

// What stands in inner loops must dissolve in them.
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NEVER_INLINE __attribute__((noinline))
#define ALWAYS_INLINE_LAMBDA __attribute__((always_inline))

// Channels that are computed together: one register. Twice as many would need more registers than
// there are, and every sum would go through memory.
#ifdef __AVX512F__
constexpr Index LANES = 16;
#else
constexpr Index LANES = 8;
#endif

// COUNT neighbouring channels, wherever they lie. The compiler makes of them what the machine has.
template <Index COUNT>
struct Lanes {
    typedef float floats __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
    typedef std::int32_t ints __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
    typedef std::uint32_t words __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
    typedef std::uint16_t halves __attribute__((vector_size(2 * COUNT), aligned(2), may_alias));
};
typedef float vec __attribute__((vector_size(4 * LANES), may_alias));

// The upper half of a float32.
struct bfloat16 {
    std::uint16_t bits;
};

// What maps are made of.
#ifdef BFLOAT16_MAPS
using Number = bfloat16;
#else
using Number = float;
#endif

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;

inline Memory allocate(Index bytes) {
    return Memory(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
}

// Scratch memory of one thread, grown when needed.
inline vec *scratch(int which, Index count) {
    static thread_local Memory memory[8];
    static thread_local Index size[8];
    if (size[which] < count) {
        memory[which].reset();  // before the new one, so that both never exist together
        memory[which] = allocate(count * static_cast<Index>(sizeof(vec)));
        size[which] = count;
    }
    return static_cast<vec *>(memory[which].get());
}

inline std::unique_ptr<double[]> zeros(Index count) { return std::make_unique<double[]>(count); }

#if defined(__AVX2__) && !defined(__AVX512F__)
ALWAYS_INLINE __m256i first_of_eight(Index lanes) {
    static const std::int32_t mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(mask + 8 - lanes));
}
#endif

template <typename L>
ALWAYS_INLINE typename L::floats widened(L, typename L::halves v) {
#ifdef __AVX512F__
    // Of a conversion the compiler makes two halves and puts them together.
    if constexpr (std::is_same_v<L, Lanes<LANES>>)
        return (typename L::floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)v), 16);
#endif
    return reinterpret_cast<typename L::floats>(__builtin_convertvector(v, typename L::words) << 16);
}

// The nearest bfloat16, of two the even one. Not a number stays so.
template <typename L>
ALWAYS_INLINE typename L::halves narrowed(L, typename L::floats v) {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
    if constexpr (std::is_same_v<L, Lanes<LANES>>)
        return (typename L::halves)_mm512_cvtneps_pbh((__m512)v);
#endif
    using words = typename L::words;
    const words bits = reinterpret_cast<words>(v);
    const words nearest = bits + (0x7fffu + (bits >> 16 & 1u));
    return __builtin_convertvector((v == v ? nearest : words(bits | 0x400000u)) >> 16,
                                   typename L::halves);
}

// The first `lanes` numbers of a register; the others are zero.
ALWAYS_INLINE vec load(const float *from, Index lanes) {
    if (lanes == LANES) return *reinterpret_cast<const Lanes<LANES>::floats *>(from);
#if defined(__AVX512F__)
    return (vec)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << lanes) - 1), from);
#elif defined(__AVX2__)
    return (vec)_mm256_maskload_ps(from, first_of_eight(lanes));
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
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << lanes) - 1), (__m512)v);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(to, first_of_eight(lanes), (__m256)v);
#else
    std::memcpy(to, &v, lanes * sizeof(float));
#endif
}

ALWAYS_INLINE vec load(const bfloat16 *from, Index lanes) {
    using All = Lanes<LANES>;
    if (lanes == LANES) return (vec)widened(All(), *reinterpret_cast<const All::halves *>(from));
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    const auto mask = static_cast<__mmask16>((1u << lanes) - 1);
    return (vec)widened(All(), (All::halves)_mm256_maskz_loadu_epi16(mask, from));
#else
    All::halves v = {};
    std::memcpy(&v, from, lanes * sizeof(bfloat16));
    return (vec)widened(All(), v);
#endif
}

ALWAYS_INLINE void store(bfloat16 *to, vec v, Index lanes) {
    using All = Lanes<LANES>;
    const All::halves numbers = narrowed(All(), (All::floats)v);
    if (lanes == LANES) {
        *reinterpret_cast<All::halves *>(to) = numbers;
        return;
    }
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    _mm256_mask_storeu_epi16(to, static_cast<__mmask16>((1u << lanes) - 1), (__m256i)numbers);
#else
    std::memcpy(to, &numbers, lanes * sizeof(bfloat16));
#endif
}

// Runs run(lanes, c) for groups of channels: whole registers, perhaps half a one, then single ones.
template <typename Run>
ALWAYS_INLINE void for_channels(Index channels, Run run) {
    Index c = 0;
    for (; c + LANES <= channels; c += LANES) run(Lanes<LANES>(), c);
    if (c + LANES / 2 <= channels) run(Lanes<LANES / 2>(), c), c += LANES / 2;
    for (; c < channels; ++c) run(Lanes<1>(), c);
}

// The channels at an address, in float32, and where they go.
template <typename L>
ALWAYS_INLINE typename L::floats at(L, const float *numbers) {
    return *reinterpret_cast<const typename L::floats *>(numbers);
}

template <typename L>
ALWAYS_INLINE typename L::floats at(L lanes, const bfloat16 *numbers) {
    return widened(lanes, *reinterpret_cast<const typename L::halves *>(numbers));
}

template <typename L>
ALWAYS_INLINE void put(L, float *numbers, typename L::floats v) {
    *reinterpret_cast<typename L::floats *>(numbers) = v;
}

template <typename L>
ALWAYS_INLINE void put(L lanes, bfloat16 *numbers, typename L::floats v) {
    *reinterpret_cast<typename L::halves *>(numbers) = narrowed(lanes, v);
}

// Calls run(first, last, part) for `parts` shares of the rows, on as many threads.
template <typename Run>
void for_parts(Index rows, int parts, Run run) {
#pragma omp parallel for num_threads(parts) if (parts > 1) schedule(static, 1)
    for (int part = 0; part < parts; ++part) run(rows * part / parts, rows * (part + 1) / parts, part);
}

}  // namespace
