// Products of up to 16 rows with matrices of 4-bit codes, at the speed at which the codes can be read.
//
// A byte holds the codes of two neighbouring columns, and two neighbouring columns are what one 32-bit register of a tensor-core
// operand holds. So the byte itself is looked up: its entry is the pair of values in half precision, ready for the product, at
// three instructions for two weights (shift, mask and address, load). The table lies in shared memory once for each lane of a
// warp, so that no two lanes ever meet in a bank: 256 entries × 32 lanes × 4 bytes.
//
//     shared memory   table | x of all rows in half precision | sums of the warps, for two tiles | sums of squares
//
// A tile is 16 outputs. The warps of a block share its columns, 128 · CHUNKS at a time; a lane has 32 columns of two outputs:
//
//     lane 4 g + t: columns 32 t … 32 t + 31 of each 128, of the outputs g and g + 8
//
// which is the left operand of mma.m16n8k16 up to the order of columns, and the right operand takes them in the same order. Those
// 128 columns are two blocks of 64, each with its own scale: row r of x is two columns of the right operand, 2 r with zeros in
// place of the second block and 2 r + 1 with zeros in place of the first. So a lane gets, of row t, the sums of either block by
// themselves, and scales them in fp32. Four rows fill the operand; more take as many products.
//
// Values of the table are rounded to half (2^-12), nothing else is: each warp scales its share of a row of x by a power of two to
// below 2^15. The law rounds every weight to the dtype of x.
//
// ROWS, OUTPUTS, WARPS, CHUNKS, D (columns), D2 (of a second product, or 0), SPAN (columns of a split), GROUP (scales to one of
// their own scale, or 0), OUT_COMBED, KIND and the types X, OUT, BIAS, … are defined by who compiles this (`packed4.py`).

typedef unsigned int u32;
typedef unsigned short u16;

struct Bf16 { u16 bits; };
struct Half { u16 bits; };

__device__ __forceinline__ float plain(float v) { return v; }
__device__ __forceinline__ float plain(Bf16 v) { return __uint_as_float((u32)v.bits << 16); }
__device__ __forceinline__ float plain(Half v) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v.bits));
    return f;
}
__device__ __forceinline__ void put(float* at, float v) { *at = v; }
__device__ __forceinline__ void put(Bf16* at, float v) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(at->bits) : "f"(v)); }
__device__ __forceinline__ void put(Half* at, float v) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(at->bits) : "f"(v)); }
template <class T> __device__ __forceinline__ float rounded(float v) {
    T there;
    put(&there, v);
    return plain(there);
}

// One of four activations in 64 bits.
__device__ __forceinline__ float part(uint2 four, int j) {
    X v;
    v.bits = (j < 2 ? four.x : four.y) >> (16 * (j & 1));
    return plain(v);
}
__device__ __forceinline__ u32 halves(float first, float second) {
    u32 both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
}

struct Matrix {
    const unsigned char* codes;  // OUTPUTS D / 2
    const void* scales;          // OUTPUTS D / 64: fp32, or 8 bits with the next three
    const float* values;         // 256
    const float* absmax;         // a group
    const float* mean;           // a group
};

constexpr int THREADS = 32 * WARPS, SETS = (ROWS + 3) / 4;
constexpr int PLAIN = 0, PARTS = 1, CONVOLVED = 2, GATED = 3, GROWN = 4;
constexpr int TILE = KIND == GATED ? 8 : 16;  // of outputs; of a gated product, the gate's rows and those it multiplies
constexpr int TILES = (OUTPUTS + TILE - 1) / TILE;
__device__ constexpr int slices(int columns) { return (columns / 128 + CHUNKS - 1) / CHUNKS; }
__device__ constexpr int passes(int columns) { return (slices(columns) + WARPS - 1) / WARPS; }
constexpr int FIRST = passes(SPAN), ITEMS = FIRST + passes(D2);
constexpr int LINE = 17 * 16;  // bytes of 128 columns of x in shared memory: the second 64 are 16 further, in other banks
constexpr int X_BYTES = SPAN / 128 * LINE, X2_BYTES = D2 / 128 * LINE;
constexpr int TABLE = 256 * 32 * 4;
constexpr int SUMS = TABLE + ROWS * (X_BYTES + X2_BYTES);
constexpr int NORMS = SUMS + 2 * WARPS * ROWS * 16 * 4;

extern __shared__ __align__(16) unsigned char memory[];

// Before they are read; what the kernel ahead wrote is not touched.
struct Slice {
    uint4 codes[2][CHUNKS];
    u32 eight[2];
    float absmax[2], mean[2];
    float2 scales[2];
};

__device__ __forceinline__ uint4 stream(const uint4* at) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(at));
    return v;
}

// The codes of CHUNKS · 128 columns from `column` on of two outputs; lane t of four keeps the scales of chunk t.
template <int COLUMNS, int WIDTH> __device__ __forceinline__ void load(Slice& s, const Matrix& m, const long* outputs, int column, int end) {
    const int t = threadIdx.x & 3;
    #pragma unroll
    for (int half = 0; half < 2; half++) {
        const uint4* at = (const uint4*)(m.codes + outputs[half] * (WIDTH / 2) + column / 2) + t;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            s.codes[half][c] = COLUMNS % (128 * CHUNKS) == 0 || column + 128 * c < end ? stream(at + 4 * c) : make_uint4(0, 0, 0, 0);
        if (t < CHUNKS && column + 128 * t < end) {
            const long block = outputs[half] * (WIDTH / 64) + column / 64 + 2 * t;
            if (GROUP) {
                s.eight[half] = __ldg((const u16*)((const unsigned char*)m.scales + block));
                s.absmax[half] = __ldg(m.absmax + block / (GROUP ? GROUP : 1));
                s.mean[half] = __ldg(m.mean + block / (GROUP ? GROUP : 1));
            } else {
                s.scales[half] = __ldg((const float2*)((const float*)m.scales + block));
            }
        }
    }
}

// Those in 8 bits are rounded twice, as the law does.
__device__ __forceinline__ void unpack_scales(Slice& s, const Matrix& m) {
    if (!GROUP) return;
    #pragma unroll
    for (int half = 0; half < 2; half++) {
        s.scales[half].x = __fadd_rn(__fmul_rn(__ldg(m.values + (s.eight[half] & 255)), s.absmax[half]), s.mean[half]);
        s.scales[half].y = __fadd_rn(__fmul_rn(__ldg(m.values + (s.eight[half] >> 8)), s.absmax[half]), s.mean[half]);
    }
}

__device__ __forceinline__ u32 pair_of(u32 shifted, u32 lane) {
    return *(const u32*)(memory + ((shifted & 0x7f80) | 4 * lane));
}

__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// acc += the slice's columns of W times those of x, which begin at byte `x` of shared memory, a row every `row_bytes`.
template <int COLUMNS>
__device__ __forceinline__ void accumulate(float (&acc)[SETS][2], const Slice& s, int slice, int x, int row_bytes) {
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const bool mine = (t >> 1) == (g & 1);
    x += slice * CHUNKS * LINE + (g >> 1) * row_bytes + t * 64 + (t >> 1) * 16;
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        if (COLUMNS % (128 * CHUNKS) && slice * CHUNKS + c >= COLUMNS / 128) break;
        float sums[SETS][4] = {};
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            const u32 low = (&s.codes[0][c].x)[i], high = (&s.codes[1][c].x)[i];
            const u32 a[2][4] = {
                {pair_of(low << 7, lane), pair_of(high << 7, lane), pair_of(low >> 1, lane), pair_of(high >> 1, lane)},
                {pair_of(low >> 9, lane), pair_of(high >> 9, lane), pair_of(low >> 17, lane), pair_of(high >> 17, lane)}};
            #pragma unroll
            for (int set = 0; set < SETS; set++) {
                uint4 b = make_uint4(0, 0, 0, 0);
                if (mine && 4 * set + (g >> 1) < ROWS) b = *(const uint4*)(memory + x + 4 * set * row_bytes + c * LINE + i * 16);
                multiply(sums[set], a[0], b.x, b.y);
                multiply(sums[set], a[1], b.z, b.w);
            }
        }
        float scale[2][2];
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            scale[half][0] = __shfl_sync(~0u, s.scales[half].x, (lane & 28) | c);
            scale[half][1] = __shfl_sync(~0u, s.scales[half].y, (lane & 28) | c);
        }
        #pragma unroll
        for (int set = 0; set < SETS; set++)
            #pragma unroll
            for (int half = 0; half < 2; half++)
                acc[set][half] += sums[set][2 * half] * scale[half][0] + sums[set][2 * half + 1] * scale[half][1];
    }
}

// The table: this thread's lane of every WARPS-th entry; the first of two columns is in the byte's high half and the entry's low.
__device__ __forceinline__ void make_table() {
    const u16 values[16] = {VALUES};
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (int high = warp; high < 16; high += WARPS) {
        u16 first = 0;
        #pragma unroll
        for (int i = 0; i < 16; i++) first = i == high ? values[i] : first;
        #pragma unroll
        for (int low = 0; low < 16; low++)
            *(u32*)(memory + (16 * high + low) * 128 + 4 * lane) = first | (u32)values[low] << 16;
    }
}

// This warp's columns of x to shared memory in half precision, scaled; what its sums are to be multiplied by, of row 4 set + t.
template <int COLUMNS>
__device__ __forceinline__ void stage(float (&unscale)[SETS], const X* x, long stride, int rows, int base, int row_bytes) {
    constexpr int COUNT = passes(COLUMNS) * CHUNKS, TOGETHER = ROWS < 4 ? ROWS : COUNT > 8 ? 2 : 4;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    #pragma unroll
    for (int set = 0; set < SETS; set++) unscale[set] = 0;
    for (int begin = 0; begin < ROWS; begin += TOGETHER) {
        uint2 raw[TOGETHER][COUNT];
        #pragma unroll
        for (int r = 0; r < TOGETHER; r++)
            #pragma unroll
            for (int k = 0; k < COUNT; k++) {
                const int column = ((k / CHUNKS * WARPS + warp) * CHUNKS + k % CHUNKS) * 128 + 4 * lane;
                raw[r][k] = make_uint2(0, 0);
                if (column < COLUMNS && begin + r < rows) raw[r][k] = *(const uint2*)(x + (begin + r) * stride + column);
            }
        #pragma unroll
        for (int r = 0; r < TOGETHER; r++) {
            const int row = begin + r;
            float most = 0;
            #pragma unroll
            for (int k = 0; k < COUNT; k++)
                #pragma unroll
                for (int j = 0; j < 4; j++) most = fmaxf(most, fabsf(part(raw[r][k], j)));
            #pragma unroll
            for (int other = 16; other; other /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, other));
            const u32 exponent = max(__float_as_uint(most) >> 23, 15u);
            const float scale = __uint_as_float((268 - exponent) << 23);
            if (row < ROWS && row % 4 == (lane & 3)) unscale[row / 4] = __uint_as_float((exponent - 14) << 23);
            #pragma unroll
            for (int k = 0; k < COUNT; k++) {
                const int column = ((k / CHUNKS * WARPS + warp) * CHUNKS + k % CHUNKS) * 128 + 4 * lane;
                const int at = base + row * row_bytes + column / 128 * LINE + column % 128 * 2 + column % 128 / 64 * 16;
                if (column < COLUMNS && row < ROWS)
                    *(uint2*)(memory + at) = make_uint2(halves(part(raw[r][k], 0) * scale, part(raw[r][k], 1) * scale),
                                                        halves(part(raw[r][k], 2) * scale, part(raw[r][k], 3) * scale));
            }
        }
    }
    __syncwarp();
}

struct Arguments {
    const X* x;
    long stride;
    Matrix matrix;
    const X* x2;
    long stride2;
    Matrix matrix2;
    const BIAS* bias;
    float multiplier;
    const float* squares;  // of the norm of x that is still to be divided by, or null
    int count;             // of them, or of those that are `grown`
    float eps;
    const RESIDUAL* residual;
    OUT* out;
    const float* scale;  // of outputs, CONVOLVED
    const CONV* conv_weight;
    const CONV* conv_bias;
    STATE* state;
    const int* active;
    int first, channels;
    RESIDUAL* h;  // GROWN
    const WEIGHT* weight;
    float* grown;
    int rows;  // of all blocks: as many as do not fit beside each other, ROWS at a time
};

__device__ __forceinline__ float silu(float v) { return v / (1.0f + __expf(-v)); }

// y, which is the newest input where it feeds a channel: it enters the state, out comes SiLU(bias + Σ taps).
__device__ __forceinline__ float convolved(const Arguments& a, float y, int o, int r) {
    const int c = o - a.first;
    if (c < 0 || c >= a.channels) return y;
    STATE* at = a.state + (long)r * a.channels * TAPS + c;
    float total = a.conv_bias ? plain(a.conv_bias[c]) : 0.0f, kept[TAPS];
    #pragma unroll
    for (int j = 1; j < TAPS; j++) {
        kept[j - 1] = plain(at[j * a.channels]);
        total += kept[j - 1] * plain(a.conv_weight[c * TAPS + j - 1]);
    }
    kept[TAPS - 1] = rounded<STATE>(y);
    total += kept[TAPS - 1] * plain(a.conv_weight[c * TAPS + TAPS - 1]);
    if (a.active[r])
        #pragma unroll
        for (int j = 0; j < TAPS; j++) put(at + j * a.channels, kept[j]);
    return silu(total);
}

// What becomes of an output of the product; `up` is the one that a gate multiplies. All threads of the first warps call it.
__device__ __forceinline__ void finish(const Arguments& a, float y, float up, int tile, int i, int r, bool real) {
    const int o = tile * TILE + i;
    const long at = (long)r * OUTPUTS + o;
    if (KIND == GROWN) {
        float v = 0;
        if (real) {
            if (a.bias) y += plain(a.bias[o]);
            const float after = rounded<RESIDUAL>(plain(a.h[o]) + y);
            put(a.h + o, after);
            v = rounded<OUT>(after);  // as `reference.rms_norm` reads it
            put(a.out + (OUT_COMBED ? (o % 8 ^ 1) * (OUTPUTS / 8) + o / 8 : o), v * plain(a.weight[o]));
        }
        v *= v;
        #pragma unroll
        for (int other = 8; other; other /= 2) v += __shfl_xor_sync(0xffff, v, other);
        if (i == 0) {
            a.grown[tile] = v;
            for (int k = TILES + tile; k < a.count; k += TILES) a.grown[k] = 0;  // others may have had more programs
        }
        return;
    }
    if (!real) return;
    if (a.bias) y += plain(a.bias[o]);
    if (KIND == PLAIN) {
        y *= a.multiplier;
        if (a.residual) y += plain(a.residual[at]);
        put(a.out + at, y);
    } else if (KIND == PARTS) {
        put(a.out + (long)blockIdx.y * a.rows * OUTPUTS + at, y);
    } else if (KIND == CONVOLVED) {
        if (a.scale) y *= a.scale[o];
        put(a.out + at, convolved(a, y, o, r));
    } else {
        if (a.bias) up += plain(a.bias[OUTPUTS + o]);
        put(a.out + (OUT_COMBED ? (long)r * OUTPUTS + (o % 8 ^ 1) * (OUTPUTS / 8) + o / 8 : at), up * silu(a.multiplier * y));
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) product4(const __grid_constant__ Arguments a) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
    const int begin = KIND == PARTS ? blockIdx.y * SPAN : 0;
    const int row0 = blockIdx.z * ROWS, rows = min(ROWS, a.rows - row0);
    if (PDL) asm volatile("griddepcontrol.launch_dependents;");

    auto fetch = [&](Slice& s, int tile, int item) {
        long outputs[2] = {tile * TILE + g, KIND == GATED ? OUTPUTS + tile * TILE + g : tile * TILE + g + 8};
        const long most = KIND == GATED ? 2 * OUTPUTS - 1 : OUTPUTS - 1;
        outputs[0] = min(outputs[0], most), outputs[1] = min(outputs[1], most);
        const int pass = item < FIRST ? item : item - FIRST, column = (pass * WARPS + warp) * CHUNKS * 128;
        if (item < FIRST) {
            if (column < SPAN) load<SPAN, D>(s, a.matrix, outputs, begin + column, begin + SPAN);
        } else if (D2 && column < D2) {
            load<(D2 ? D2 : 128), (D2 ? D2 : 128)>(s, a.matrix2, outputs, column, D2);
        }
    };

    Slice now = {};
    fetch(now, blockIdx.x, 0);
    make_table();
    if (PDL) asm volatile("griddepcontrol.wait;" ::: "memory");

    float unscale[SETS], unscale2[SETS];
    stage<SPAN>(unscale, a.x + row0 * a.stride + begin, a.stride, rows, TABLE, X_BYTES);
    if (D2) stage<(D2 ? D2 : 128)>(unscale2, a.x2, a.stride2, rows, TABLE + ROWS * X_BYTES, X2_BYTES);
    if (a.squares) {
        float sum = 0;
        for (int i = threadIdx.x; i < a.count; i += THREADS) sum += a.squares[i];
        #pragma unroll
        for (int other = 16; other; other /= 2) sum += __shfl_xor_sync(~0u, sum, other);
        if (lane == 0) *(float*)(memory + NORMS + 4 * warp) = sum;
    }
    __syncthreads();
    float norm = 1;
    if (a.squares) {
        float sum = 0;
        for (int w = 0; w < WARPS; w++) sum += *(const float*)(memory + NORMS + 4 * w);
        norm = rsqrtf(sum / D + a.eps);
    }

    for (int tile = blockIdx.x, turn = 0; tile < TILES; tile += gridDim.x, turn ^= 1) {
        float total[SETS][2] = {};
        #pragma unroll
        for (int product = 0; product < (D2 ? 2 : 1); product++) {
            float acc[SETS][2] = {};
            #pragma unroll
            for (int pass = 0; pass < (product ? ITEMS - FIRST : FIRST); pass++) {
                const int item = product ? FIRST + pass : pass;
                Slice next = now;
                if (item + 1 < ITEMS) fetch(next, tile, item + 1);
                else if (tile + gridDim.x < TILES) fetch(next, tile + gridDim.x, 0);
                const int slice = pass * WARPS + warp;
                if (slice < slices(product ? D2 : SPAN)) {
                    unpack_scales(now, product ? a.matrix2 : a.matrix);
                    if (product) accumulate<D2>(acc, now, slice, TABLE + ROWS * X_BYTES, X2_BYTES);
                    else accumulate<SPAN>(acc, now, slice, TABLE, X_BYTES);
                }
                now = next;
            }
            #pragma unroll
            for (int set = 0; set < SETS; set++)
                #pragma unroll
                for (int half = 0; half < 2; half++) total[set][half] += acc[set][half] * (product ? unscale2 : unscale)[set];
        }
        float* sums = (float*)(memory + SUMS) + turn * WARPS * ROWS * 16;
        #pragma unroll
        for (int set = 0; set < SETS; set++)
            if (4 * set + t < ROWS)
                #pragma unroll
                for (int half = 0; half < 2; half++) sums[(warp * ROWS + 4 * set + t) * 16 + 8 * half + g] = total[set][half];
        __syncthreads();  // the other turn's sums have been read by all who are here
        const int r = threadIdx.x / TILE, i = threadIdx.x % TILE;
        if (r < rows) {
            float y = 0, up = 0;
            #pragma unroll
            for (int w = 0; w < WARPS; w++) {
                y += sums[(w * ROWS + r) * 16 + i];
                if (KIND == GATED) up += sums[(w * ROWS + r) * 16 + 8 + i];
            }
            finish(a, y * norm, up * norm, tile, i, row0 + r, tile * TILE + i < OUTPUTS);
        }
    }
}
