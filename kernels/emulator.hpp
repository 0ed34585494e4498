// The CPU in place of a GPU: enough of CUDA C++ for the kernels of this folder to compile and run with g++.
//
// Every CUDA thread is a fiber: a stack of its own. Fibers take turns on one CPU thread and give their turn away only at a
// barrier or a warp operation, so that these are seen exactly: it is an error if threads of one block wait at different
// places, if some have returned, or if a warp operation's mask leaves lanes out. A thread that never waits needs no stack
// of its own, so plain kernels run at the speed of a loop.
//
//   default                blocks one after another
//   EMULATE_REPLAY         a program that replays recorded launches, all blocks of a launch under way together. Made for
//                          AddressSanitizer (overruns) and ThreadSanitizer: it is told that each fiber is a thread, and
//                          which of them a barrier orders. A race is found by that order, not by chance: barriers and
//                          __syncwarp order memory; shuffles, ballots and relaxed atomics do not, as CUDA promises nothing.
//   EMULATE_FOREIGN        a library of one kernel among hundreds that are not ours: stacks are given back after each launch,
//                          and a barrier does not wait for threads that have returned, as hardware does not
//
// Shared memory, and what lanes that do not exist give to a shuffle, are 0xFF bytes (a NaN), so that reading before writing
// shows.
// Not emulated: tensor cores, cp.async, cooperative groups, textures, clusters, warp operations of a part of a warp, float
// stores that are not coherent. A kernel that needs them is a DEVICE_KERNEL (common.cuh) between #ifdef __CUDACC__ and #endif.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __constant__ static const

struct dim3 { unsigned x = 1, y = 1, z = 1; };

// What the emulator itself does is no access of a kernel: ThreadSanitizer shall not look at it.
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))

namespace emulator {

constexpr int WARP = 32;
constexpr int SHARED_BYTES = 48 << 10;  // what a block may have without asking for more
constexpr size_t STACK = 256 << 10, PAGE = 4 << 10;
#ifdef EMULATE_REPLAY
constexpr bool REPLAY = true;
#else
constexpr bool REPLAY = false;
#endif
#ifdef EMULATE_FOREIGN
constexpr bool FOREIGN = true;
#else
constexpr bool FOREIGN = false;
#endif

static char message[512];

struct Place {  // where a thread waits
  const char* file = "";
  int line = 0, caller = 0;  // caller: the line that called a function with CALLER
  bool operator==(const Place& o) const { return line == o.line && caller == o.caller && !std::strcmp(file, o.file); }
};

struct Warp {
  unsigned long long given[WARP], taken[WARP];  // what the lanes leave for each other, before and after they have met
  char order[2];  // addresses that ThreadSanitizer knows barriers by, in turns
  int meeting = 0;
};

struct Region { const void* key; unsigned char* at; size_t bytes; long block; };  // a SHARED array

struct Fiber;
struct Block {
  dim3 index;
  long serial = 0;
  std::vector<Warp> warps;
  std::vector<Region> regions;
  std::vector<Fiber*> threads;  // null: it has returned
  char order[2];
  int meeting = 0;
};

struct Thread {
  dim3 index;
  Block* block = nullptr;
  Warp* warp = nullptr;
  int number = 0, lane = 0;  // flat, x fastest
};

enum State { FREE, RUNNING, AT_BLOCK, AT_WARP };

struct Fiber {
  ucontext_t start;
  jmp_buf here;
  void* known = nullptr;  // to ThreadSanitizer
  bool begun = false;
  State state = FREE;
  Place place;
  unsigned mask = 0;
  Thread thread;
};

static jmp_buf scheduler;
static ucontext_t scheduler_context;
static void* scheduler_known;
static Fiber* fiber;
static Thread* current;
static dim3 block_dim, grid_dim;
static std::function<void()> body_of_kernel;
static char launched, finished_all;

// What ThreadSanitizer is told: all before a `release` comes before all after an `acquire` of the same address.
#ifdef __SANITIZE_THREAD__
inline void release(char& order) { __tsan_release(&order); }
inline void acquire(char& order) { __tsan_acquire(&order); }
inline void become(void* known) { __tsan_switch_to_fiber(known, __tsan_switch_to_fiber_no_sync); }
inline void ignore(bool begin) { begin ? AnnotateIgnoreWritesBegin("", 0) : AnnotateIgnoreWritesEnd("", 0); }
#else
inline void release(char&) {}
inline void acquire(char&) {}
inline void become(void*) {}
inline void ignore(bool) {}
#endif

// Back to the scheduler; sanitizers know swapcontext, and setjmp is the one that needs no system call.
UNSEEN static void leave() {
  if (REPLAY) {
    become(scheduler_known);
    swapcontext(&fiber->start, &scheduler_context);
  } else if (!_setjmp(fiber->here)) {
    _longjmp(scheduler, 1);
  }
}

// A fiber outlives the thread that it runs: when the body returns, it may be given another.
UNSEEN static void fiber_main() {
  for (;;) {
    acquire(launched);
    body_of_kernel();
    release(finished_all);
    fiber->state = FREE;
    leave();
  }
}

static void begin(Fiber& next) {
  auto* stack = (unsigned char*)mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED || mprotect(stack, PAGE, PROT_NONE)) {  // the lowest page: an overflow is a fault at once
    std::perror("emulator: no memory for the stack of a thread");
    std::abort();
  }
  getcontext(&next.start);
  next.start.uc_stack.ss_sp = stack + PAGE;
  next.start.uc_stack.ss_size = STACK;
  next.start.uc_link = nullptr;
  makecontext(&next.start, fiber_main, 0);
#ifdef __SANITIZE_THREAD__
  next.known = __tsan_create_fiber(0);
  scheduler_known = __tsan_get_current_fiber();
#endif
}

UNSEEN static void resume(Fiber& next) {
  fiber = &next;
  current = &next.thread;
  next.state = RUNNING;
  const bool first = !next.begun;
  next.begun = true;
  if (first) begin(next);
  if (REPLAY) {
    become(next.known);
    swapcontext(&scheduler_context, &next.start);
  } else if (!_setjmp(scheduler)) {
    if (!first) _longjmp(next.here, 1);
    setcontext(&next.start);
  }
}

UNSEEN static void wait(State state, const char* file, int line, int caller, unsigned mask) {
  fiber->state = state;
  fiber->place.file = file;
  fiber->place.line = line;
  fiber->place.caller = caller;
  fiber->mask = mask;
  leave();
}
UNSEEN inline void wait_block(const char* file, int line, int caller) {
  Block* block = current->block;
  char& order = block->order[block->meeting % 2];  // in turns: the first to go on must not order those that still wait here
  release(order);
  wait(AT_BLOCK, file, line, caller, 0);
  acquire(order);
}
UNSEEN inline void wait_warp(const char* file, int line, int caller, unsigned mask = 0xffffffff) {
  Warp* warp = current->warp;
  char& order = warp->order[warp->meeting % 2];
  release(order);
  wait(AT_WARP, file, line, caller, mask);
  acquire(order);
}

static std::string words(const Fiber* f) {
  if (!f) return "returned";
  const std::string called = f->place.caller ? " (called from line " + std::to_string(f->place.caller) + ")" : "";
  return std::string(f->place.file) + ":" + std::to_string(f->place.line) + called;
}

static bool complain(const Block& block, const char* what, const Fiber* one, const Fiber* other) {
  std::snprintf(message, sizeof message, "%s in block (%u, %u, %u): %s and %s", what, block.index.x, block.index.y,
                block.index.z, words(one).c_str(), words(other).c_str());
  return false;
}

// Where all threads that wait stand at one place, they go on together; otherwise the barrier is divergent.
static bool release_waiting(Block& block) {
  const std::vector<Fiber*>& threads = block.threads;
  const int size = (int)threads.size();
  bool released = false;
  for (int w = 0; w < size; w += WARP) {  // warps first
    const int lanes = std::min(WARP, size - w);
    const unsigned present = lanes == WARP ? 0xffffffff : (1u << lanes) - 1;
    const Fiber* one = nullptr;
    for (int i = w; i < w + lanes; i++)
      if (threads[i] && threads[i]->state == AT_WARP) one = threads[i];
    if (!one) continue;
    for (int i = w; i < w + lanes; i++) {
      const Fiber* f = threads[i];
      if (!f || f->state != AT_WARP || !(f->place == one->place))
        return complain(block, "a divergent warp operation", one, f);
      if ((f->mask & present) != present)
        return complain(block, "a mask that leaves out lanes of the warp operation", f, f);
    }
    for (int i = w; i < w + lanes; i++) threads[i]->state = RUNNING;
    Warp& warp = block.warps[w / WARP];
    std::memcpy(warp.taken, warp.given, sizeof warp.taken);
    std::memset(warp.given, 0xFF, sizeof warp.given);
    warp.meeting++;
    released = true;
  }
  if (released) return true;
  const Fiber* one = nullptr;
  for (const Fiber* f : threads) one = f ? f : one;
  for (const Fiber* f : threads)
    if (f ? !(f->place == one->place) : !FOREIGN) return complain(block, "a divergent barrier", one, f);
  for (Fiber* f : threads)
    if (f) f->state = RUNNING;
  block.meeting++;
  return true;
}

template <typename Body>
int run(dim3 grid, dim3 block, Body body) {
  static std::vector<std::unique_ptr<Fiber>> all;
  static std::vector<Fiber*> spare;
  static std::vector<std::unique_ptr<Block>> blocks;
  static long serial = 0;
  message[0] = 0;
  body_of_kernel = body;
  block_dim = block; grid_dim = grid;
  const int size = block.x * block.y * block.z;
  const long count = (long)grid.x * grid.y * grid.z, together = REPLAY ? count : 1;
  while ((long)blocks.size() < together) blocks.push_back(std::make_unique<Block>());
  std::vector<Fiber*> retired;  // in a replay no fiber is two threads of one launch: they could not race
  const auto step = [&](Fiber*& f) {
    resume(*f);
    if (f->state != FREE) return 0;
    (REPLAY ? retired : spare).push_back(f);
    f = nullptr;
    return 1;
  };
  for (long first = 0; first < count; first += together) {
    long alive = together * size;
    for (long b = 0; b < together; b++) {
      Block& here = *blocks[b];
      const long i = first + b;
      here.index = {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
      here.serial = ++serial;
      here.threads.assign(size, nullptr);
      here.warps.resize((size + WARP - 1) / WARP);
      for (Warp& warp : here.warps) std::memset(warp.given, 0xFF, sizeof warp.given);
      for (int t = 0; t < size; t++) {
        if (spare.empty()) { all.push_back(std::make_unique<Fiber>()); spare.push_back(all.back().get()); }
        Fiber*& f = here.threads[t] = spare.back();
        spare.pop_back();
        f->thread = {{t % block.x, t / block.x % block.y, t / block.x / block.y}, &here, &here.warps[t / WARP], t, t % WARP};
        release(launched);
        alive -= step(f);
      }
    }
    while (alive)
      for (long b = 0; b < together; b++) {
        Block& here = *blocks[b];
        if (std::all_of(here.threads.begin(), here.threads.end(), [](Fiber* f) { return !f; })) continue;
        if (!release_waiting(here)) {  // the stuck fibers are abandoned; the process goes on with new ones
          spare.clear();
          return 1;
        }
        for (Fiber*& f : here.threads)
          if (f && f->state == RUNNING) alive -= step(f);
      }
  }
  spare.insert(spare.end(), retired.begin(), retired.end());
  acquire(finished_all);
  if (FOREIGN) {  // Linux allows a process 65 530 memory maps
    for (auto& each : all)
      if (each->begun) munmap((unsigned char*)each->start.uc_stack.ss_sp - PAGE, STACK + PAGE);
    all.clear();
    spare.clear();
  }
  return 0;
}

}  // namespace emulator

// -- CUDA's words --------------------------------------------------------------------------------------------------

#define threadIdx (emulator::current->index)
#define blockIdx (emulator::current->block->index)
#define blockDim (emulator::block_dim)
#define gridDim (emulator::grid_dim)
#define warpSize (emulator::WARP)
#define __syncthreads() emulator::wait_block(__FILE__, __LINE__, calling_line)
#define __syncwarp(...) emulator::wait_warp(__FILE__, __LINE__, calling_line __VA_OPT__(,) __VA_ARGS__)

// The last parameter of a function with a barrier: two calls of it are two barriers (common.cuh).
constexpr int calling_line = 0;
#define CALLER , const int calling_line = __builtin_LINE()

namespace emulator {

// A SHARED array: memory of its own for each block, kept for the next block in the same place.
template <typename T, int NUMBER>
UNSEEN T& shared() {
  static_assert(sizeof(T) <= SHARED_BYTES);
  static const char key = 0;  // its address: T and NUMBER
  Block& block = *current->block;
  ignore(true);
  Region* found = nullptr;
  for (Region& region : block.regions)
    if (region.key == &key) found = &region;
  if (!found) {
    block.regions.push_back({&key, (unsigned char*)std::malloc(sizeof(T)), sizeof(T), -1});
    found = &block.regions.back();
  }
  if (found->block != block.serial) {  // the first thread of the block
    found->block = block.serial;
    std::memset(found->at, 0xFF, sizeof(T));
  }
  T& array = *reinterpret_cast<T*>(found->at);
  ignore(false);
  return array;
}

// What lane `source` gives; a lane beyond the warp is the caller itself, a lane that does not exist gives 0xFF bytes.
template <typename T>
UNSEEN T shuffle(unsigned mask, T value, int source, const char* file, int line, int caller) {
  static_assert(sizeof(T) <= 8);
  Thread* self = current;
  __builtin_memcpy(&self->warp->given[self->lane], &value, sizeof(T));
  wait(AT_WARP, file, line, caller, mask);
  if (source >= 0 && source < WARP) __builtin_memcpy(&value, &self->warp->taken[source], sizeof(T));
  return value;
}

UNSEEN inline unsigned ballot(unsigned mask, bool predicate, const char* file, int line, int caller) {
  Thread* self = current;
  self->warp->given[self->lane] = predicate;
  wait(AT_WARP, file, line, caller, mask);
  unsigned bits = 0;
  for (unsigned i = 0; i < WARP; i++) bits |= (unsigned)(self->warp->taken[i] == 1) << i;
  return bits;
}

}  // namespace emulator

#define SHARED(type, name, extent) \
  auto& name = emulator::shared<std::remove_reference_t<decltype(*(type(*) extent) nullptr)>, __COUNTER__>()
#define SHUFFLE_(mask, value, source) emulator::shuffle(mask, value, source, __FILE__, __LINE__, calling_line)
#define __shfl_sync(mask, value, source) SHUFFLE_(mask, value, (source) & 31)
#define __shfl_down_sync(mask, value, by) SHUFFLE_(mask, value, emulator::current->lane + (by))
#define __shfl_xor_sync(mask, value, by) SHUFFLE_(mask, value, emulator::current->lane ^ (by))
#define __ballot_sync(mask, predicate) emulator::ballot(mask, predicate, __FILE__, __LINE__, calling_line)
#define __any_sync(mask, predicate) (__ballot_sync(mask, predicate) != 0)

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
// Of floating numbers they are fmin and fmax: a NaN loses.
template <typename A, typename B> inline auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return std::fmin(T(a), T(b));
  else return T(b) < T(a) ? T(b) : T(a);
}
template <typename A, typename B> inline auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return std::fmax(T(a), T(b));
  else return T(a) < T(b) ? T(b) : T(a);
}
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
// A recorded launch (backends/cuda/recording.py writes it) is read back into memory of its exact size and run.
namespace emulator {

struct Recording {
  dim3 grid, block;
  std::vector<void*> arguments;       // what the entry point wants: the address of each argument's value
  std::vector<std::vector<char>> values;
  std::vector<unsigned char*> memory;  // arrays that overlap lie in one piece

  explicit Recording(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (!file) { std::perror(path); std::exit(2); }
    unsigned sizes[8];
    read(file, sizes, sizeof sizes);
    grid = {sizes[0], sizes[1], sizes[2]};
    block = {sizes[3], sizes[4], sizes[5]};
    std::vector<unsigned char*> pieces;
    for (unsigned i = 0; i < sizes[6]; i++) {
      unsigned long long head[2];  // bytes, and the address modulo 16 that they had
      read(file, head, sizeof head);
      memory.push_back((unsigned char*)std::malloc(head[1] + head[0]));
      pieces.push_back(memory.back() + head[1]);
      read(file, pieces.back(), head[0]);
#ifdef __SANITIZE_ADDRESS__
      __asan_poison_memory_region(memory.back(), head[1]);
#endif
    }
    values.reserve(sizes[7]);
    for (unsigned i = 0; i < sizes[7]; i++) {
      unsigned long long head[3];  // whether it is an array; its piece and the place in there, or the value's bytes
      read(file, head, sizeof head);
      if (head[0]) {
        const unsigned char* array = pieces[head[1]] + head[2];
        values.emplace_back(sizeof array);
        std::memcpy(values.back().data(), &array, sizeof array);
      } else {
        values.emplace_back(head[1]);
        read(file, values.back().data(), head[1]);
      }
      arguments.push_back(values.back().data());
    }
    std::fclose(file);
  }
  ~Recording() { for (void* piece : memory) std::free(piece); }

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
    if (entry(recording.grid, recording.block, recording.arguments.data())) {
      std::fprintf(stderr, "%s: %s\n", paths[i], message);
      return 3;
    }
  }
  return 0;
}

}  // namespace emulator
#endif
