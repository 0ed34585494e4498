// The CPU in place of a GPU: enough of CUDA C++ for the kernels of this folder to compile and run with g++.
//
// A kernel is run block by block with one of two executors.
//
//   fibers    (default)              the threads of a block take turns on one CPU thread; a thread gives its turn away
//                                    only at a barrier or a warp operation. Finds divergent barriers: it is an error if
//                                    threads of one block wait at different lines, or some have returned. Threads that
//                                    never wait need no fiber of their own, so plain kernels run at the speed of a loop.
//   threads   (-DEMULATE_THREADS)    every CUDA thread of every block is a thread of the system. Slow; for
//                                    ThreadSanitizer (races, missing barriers) and AddressSanitizer (overruns).
//
// Fibers find shared memory filled with 0xFF bytes (a NaN) when a block starts, so that reading before writing shows.
// Not emulated: tensor cores, cp.async, cooperative groups, textures, clusters. Kernels guard these by __CUDACC__.
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __constant__ static const

struct dim3 { unsigned x = 1, y = 1, z = 1; };

namespace emulator {

constexpr int WARP = 32;
constexpr size_t REGION = 1 << 16;  // bytes reserved for one SHARED array; a block has at most REGIONS of them
constexpr int REGIONS = 64;

struct Block;
struct Thread {
  dim3 index;
  Block* block = nullptr;
  int number = 0;  // flat, x fastest
};

extern char message[512];
inline bool failed() { return message[0] != 0; }

struct Slots { unsigned long long value[WARP]; };  // where the lanes of a warp leave values for each other

}  // namespace emulator

#ifdef EMULATE_THREADS

namespace emulator {

char message[512];

struct Block {
  dim3 index;
  std::unique_ptr<std::barrier<>> barrier;
  std::vector<std::unique_ptr<std::barrier<>>> warps;
  std::vector<Slots> slots;
  unsigned char* arena;
};

thread_local Thread* current;
inline dim3 block_dim, grid_dim;

inline void wait_block(int) { current->block->barrier->arrive_and_wait(); }
inline void wait_warp(int) { current->block->warps[current->number / WARP]->arrive_and_wait(); }

// All blocks at once, in groups of at most 512 threads: blocks race with each other too.
template <typename Body>
int run(dim3 grid, dim3 block, Body body) {
  const int size = block.x * block.y * block.z;
  const long blocks = (long)grid.x * grid.y * grid.z;
  const long together = std::max(1L, 512L / size);
  block_dim = block; grid_dim = grid;
  for (long first = 0; first < blocks; first += together) {
    const long count = std::min(together, blocks - first);
    std::vector<Block> group(count);
    std::vector<Thread> threads(count * size);
    std::vector<std::thread> running;
    for (long b = 0; b < count; b++) {
      const long i = first + b;
      group[b].index = {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
      group[b].barrier = std::make_unique<std::barrier<>>(size);
      for (int w = 0; w * WARP < size; w++)
        group[b].warps.push_back(std::make_unique<std::barrier<>>(std::min(WARP, size - w * WARP)));
      group[b].slots.resize(group[b].warps.size());
      group[b].arena = (unsigned char*)std::malloc(REGION * REGIONS);
    }
    for (long b = 0; b < count; b++)
      for (int t = 0; t < size; t++) {
        Thread& self = threads[b * size + t];
        self.index = {t % block.x, t / block.x % block.y, t / block.x / block.y};
        self.block = &group[b];
        self.number = t;
        running.emplace_back([&self, body] {
          current = &self;
          body();
          self.block->barrier->arrive_and_drop();  // a thread that returned is not waited for
          self.block->warps[self.number / WARP]->arrive_and_drop();
        });
      }
    for (auto& thread : running) thread.join();
    for (auto& b : group) {
#ifdef __SANITIZE_ADDRESS__
      __asan_unpoison_memory_region(b.arena, REGION * REGIONS);
#endif
      std::free(b.arena);
    }
  }
  return 0;
}

}  // namespace emulator

#else

#include <csetjmp>
#include <sys/mman.h>
#include <ucontext.h>

namespace emulator {

char message[512];

struct Block {
  dim3 index;
  std::vector<Slots> slots;
  unsigned char* arena;
};

enum State { FREE, RUNNING, AT_BLOCK, AT_WARP };

struct Fiber {
  ucontext_t start;
  jmp_buf here;
  bool begun = false;
  State state = FREE;
  int line = 0;
  Thread thread;
};

constexpr size_t STACK = 1 << 16;
static jmp_buf scheduler;
static Fiber* fiber;
static Thread* current;
static dim3 block_dim, grid_dim;
static std::function<void()> body_of_kernel;

// A fiber outlives the thread that it runs: when the body returns, it may be given the next thread.
static void fiber_main() {
  for (;;) {
    body_of_kernel();
    fiber->state = FREE;
    if (!_setjmp(fiber->here)) _longjmp(scheduler, 1);
  }
}

static void resume(Fiber& next) {
  fiber = &next;
  current = &next.thread;
  next.state = RUNNING;
  if (_setjmp(scheduler)) return;
  if (next.begun) _longjmp(next.here, 1);
  next.begun = true;
  getcontext(&next.start);
  next.start.uc_stack.ss_sp =
      mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  next.start.uc_stack.ss_size = STACK;
  next.start.uc_link = nullptr;
  makecontext(&next.start, fiber_main, 0);
  setcontext(&next.start);
}

static void wait(State state, int line) {
  fiber->state = state;
  fiber->line = line;
  if (!_setjmp(fiber->here)) _longjmp(scheduler, 1);
}
inline void wait_block(int line) { wait(AT_BLOCK, line); }
inline void wait_warp(int line) { wait(AT_WARP, line); }

static bool complain(const Block& block, const char* what, int line, int other) {
  std::snprintf(message, sizeof message, "%s in block (%u, %u, %u): lines %d and %d (0: returned)", what,
                block.index.x, block.index.y, block.index.z, line, other);
  return false;
}

// Where all threads that wait stand at one line, they go on together; otherwise the barrier is divergent.
static bool release(std::vector<Fiber*>& threads, const Block& block) {
  const int size = (int)threads.size();
  bool released = false;
  for (int w = 0; w < size; w += WARP) {  // warps first
    int waiting = 0, line = 0, other = 0, lanes = std::min(WARP, size - w);
    for (int i = w; i < w + lanes; i++) {
      const bool at_warp = threads[i] && threads[i]->state == AT_WARP;
      if (at_warp) { waiting++; line = threads[i]->line; } else other = threads[i] ? threads[i]->line : 0;
    }
    if (!waiting) continue;
    if (waiting < lanes) return complain(block, "a divergent warp operation", line, other);
    for (int i = w; i < w + lanes; i++) {
      if (threads[i]->line != line) return complain(block, "a divergent warp operation", line, threads[i]->line);
      threads[i]->state = RUNNING;
    }
    released = true;
  }
  if (released) return true;
  int line = 0;
  for (Fiber* f : threads) line = f ? f->line : line;
  for (Fiber* f : threads)
    if (!f || f->line != line) return complain(block, "a divergent barrier", line, f ? f->line : 0);
  for (Fiber* f : threads) f->state = RUNNING;
  return true;
}

template <typename Body>
int run(dim3 grid, dim3 block, Body body) {
  static std::vector<std::unique_ptr<Fiber>> all;
  static std::vector<Fiber*> spare;
  static auto* arena = (unsigned char*)std::malloc(REGION * REGIONS);
  message[0] = 0;
  body_of_kernel = body;
  block_dim = block; grid_dim = grid;
  const int size = block.x * block.y * block.z;
  Block here;
  here.slots.resize((size + WARP - 1) / WARP);
  here.arena = arena;
  std::vector<Fiber*> threads(size);
  for (unsigned z = 0; z < grid.z; z++) for (unsigned y = 0; y < grid.y; y++) for (unsigned x = 0; x < grid.x; x++) {
    here.index = {x, y, z};
    int alive = 0;
    for (int t = 0; t < size; t++) {
      if (spare.empty()) { all.push_back(std::make_unique<Fiber>()); spare.push_back(all.back().get()); }
      Fiber* f = spare.back();
      f->thread.index = {t % block.x, t / block.x % block.y, t / block.x / block.y};
      f->thread.block = &here;
      f->thread.number = t;
      resume(*f);
      threads[t] = f->state == FREE ? nullptr : f;
      if (threads[t]) { spare.pop_back(); alive++; }
    }
    while (alive) {
      if (!release(threads, here)) {  // the stuck fibers are abandoned; the process goes on with new ones
        spare.clear();
        return 1;
      }
      for (Fiber*& f : threads)
        if (f && f->state == RUNNING) {
          resume(*f);
          if (f->state == FREE) { spare.push_back(f); f = nullptr; alive--; }
        }
    }
  }
  return 0;
}

}  // namespace emulator

#endif

// -- CUDA's words --------------------------------------------------------------------------------------------------

#define threadIdx (emulator::current->index)
#define blockIdx (emulator::current->block->index)
#define blockDim (emulator::block_dim)
#define gridDim (emulator::grid_dim)
#define warpSize (emulator::WARP)
#define __syncthreads() emulator::wait_block(__LINE__)
#define __syncwarp(...) emulator::wait_warp(__LINE__)

namespace emulator {

// A SHARED array: its own region of the block's arena. The first thread to come poisons it, before any barrier; as all
// of a block's threads run through the declarations before they wait, fibers see it filled once, by thread 0.
template <typename T>
T& shared(int number) {
  static_assert(sizeof(T) <= REGION);
  if (number >= REGIONS) { std::fprintf(stderr, "emulator: too many SHARED arrays in one file\n"); std::abort(); }
  unsigned char* place = current->block->arena + number * REGION;
#ifndef EMULATE_THREADS
  if (current->number == 0) std::memset(place, 0xFF, sizeof(T));
#endif
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(place + sizeof(T), REGION - sizeof(T));
#endif
  return *reinterpret_cast<T*>(place);
}

template <typename T>
T shuffle(T value, int source, int line) {
  static_assert(sizeof(T) <= 8);
  const int lane = current->number % WARP, warp = current->number / WARP;
  Slots& slots = current->block->slots[warp];
  std::memcpy(&slots.value[lane], &value, sizeof(T));
  wait_warp(line);
  if (source >= 0 && source < WARP) std::memcpy(&value, &slots.value[source], sizeof(T));
  wait_warp(-line);  // so that nobody overwrites a slot that is still to be read
  return value;
}

inline unsigned ballot(bool predicate, int line) {
  const int warp = current->number / WARP;
  const unsigned lanes = std::min<unsigned>(WARP, block_dim.x * block_dim.y * block_dim.z - warp * WARP);
  Slots& slots = current->block->slots[warp];
  slots.value[current->number % WARP] = predicate;
  wait_warp(line);
  unsigned bits = 0;
  for (unsigned i = 0; i < lanes; i++) bits |= (unsigned)(slots.value[i] != 0) << i;
  wait_warp(-line);
  return bits;
}

}  // namespace emulator

#define SHARED(type, name, extent) auto& name = emulator::shared<std::remove_reference_t<decltype(*(type(*) extent) nullptr)>>(__COUNTER__)
#define __shfl_sync(mask, value, source) emulator::shuffle(value, source, __LINE__)
#define __shfl_down_sync(mask, value, by) emulator::shuffle(value, (emulator::current->number % 32) + (by), __LINE__)
#define __shfl_xor_sync(mask, value, by) emulator::shuffle(value, (emulator::current->number % 32) ^ (by), __LINE__)
#define __ballot_sync(mask, predicate) emulator::ballot(predicate, __LINE__)
#define __any_sync(mask, predicate) (emulator::ballot(predicate, __LINE__) != 0)

template <typename T> inline T atomicAdd(T* at, std::type_identity_t<T> by) {
  std::atomic_ref<T> place(*at);
  if constexpr (std::is_integral_v<T>) return place.fetch_add(by, std::memory_order_relaxed);
  T old = place.load(std::memory_order_relaxed);
  while (!place.compare_exchange_weak(old, old + by, std::memory_order_relaxed)) {}
  return old;
}
template <typename T> inline T atomicExch(T* at, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*at).exchange(value, std::memory_order_relaxed);
}
template <typename T> inline T atomicMax(T* at, std::type_identity_t<T> value) {
  std::atomic_ref<T> place(*at);
  T old = place.load(std::memory_order_relaxed);
  while (old < value && !place.compare_exchange_weak(old, value, std::memory_order_relaxed)) {}
  return old;
}
template <typename T> inline T atomicOr(T* at, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*at).fetch_or(value, std::memory_order_relaxed);
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(16) int4 { int x, y, z, w; };
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <typename T> inline T __ldg(const T* at) { return *at; }
using std::isfinite, std::isinf, std::isnan;
template <typename A, typename B> inline auto min(A a, B b) { using T = std::common_type_t<A, B>; return T(a) < T(b) ? T(a) : T(b); }
template <typename A, typename B> inline auto max(A a, B b) { using T = std::common_type_t<A, B>; return T(a) < T(b) ? T(b) : T(a); }
template <typename T> inline T rsqrt(T x) { return T(1) / std::sqrt(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
#define INFINITY_ (std::numeric_limits<float>::infinity())

// Plain exp, log, ... of a float are float on a GPU.
using std::abs, std::ceil, std::cos, std::erf, std::exp, std::expm1, std::fabs, std::floor, std::fma, std::fmax, std::fmin, std::log, std::log1p,
    std::pow, std::rint, std::round, std::sin, std::sqrt, std::tanh, std::trunc;

// -- launches --------------------------------------------------------------------------------------------------------

#ifdef EMULATE_REPLAY
// A recorded launch (backends/cuda/recording.py writes it) is read back into arrays of their exact size and run.
namespace emulator {

struct Recording {
  dim3 grid, block;
  std::vector<void*> arguments;       // what the entry point wants: the address of each argument's value
  std::vector<std::vector<char>> values;
  std::vector<void*> arrays;

  explicit Recording(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (!file) { std::perror(path); std::exit(2); }
    unsigned sizes[7];
    read(file, sizes, sizeof sizes);
    grid = {sizes[0], sizes[1], sizes[2]};
    block = {sizes[3], sizes[4], sizes[5]};
    values.reserve(sizes[6]);
    for (unsigned i = 0; i < sizes[6]; i++) {
      unsigned long long head[2];  // whether it is an array, and its bytes
      read(file, head, sizeof head);
      if (head[0]) {
        void* array = std::malloc(head[1]);
        arrays.push_back(array);
        read(file, array, head[1]);
        values.emplace_back(sizeof(void*));
        std::memcpy(values.back().data(), &array, sizeof array);
      } else {
        values.emplace_back(head[1]);
        read(file, values.back().data(), head[1]);
      }
      arguments.push_back(values.back().data());
    }
    std::fclose(file);
  }
  ~Recording() { for (void* array : arrays) std::free(array); }

 private:
  static void read(std::FILE* file, void* to, size_t bytes) {
    if (bytes && std::fread(to, 1, bytes, file) != bytes) { std::fprintf(stderr, "short recording\n"); std::exit(2); }
  }
};

using Entry = int (*)(dim3, dim3, void**);

// Each path's launch, by the kernel that its name ends in: .../0001.max_pool2d
inline int replay(int count, char** paths, std::function<Entry(const std::string&)> find) {
  for (int i = 0; i < count; i++) {
    const std::string path = paths[i];
    const Entry entry = find(path.substr(path.rfind('.') + 1));
    if (!entry) { std::fprintf(stderr, "no kernel for %s\n", paths[i]); return 2; }
    Recording recording(paths[i]);
    entry(recording.grid, recording.block, recording.arguments.data());
  }
  return 0;
}

}  // namespace emulator
#endif
