// The machine that kernels run on, compiled once: it schedules their threads and catches what goes wrong.
//
// Blocks run one after another on one thread of the CPU. The threads of a block are fibers. A fiber runs until it has
// to wait; warps and lanes take turns in a seeded random order, each going as far as it can, so no two threads are in
// step that the code does not keep in step. Every access to shared memory is watched: two threads that touch the same
// byte, one of them writing, with nothing between that orders them, are a race, whichever came first.
#include <csetjmp>
#include <csignal>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <utility>
#include <vector>
#include <sys/mman.h>
#if !defined(__x86_64__) || defined(EMU_UCONTEXT)
#include <ucontext.h>
#endif

struct uint3 { unsigned x, y, z; };
struct EmuPlace { uint3 thread, block, threads, blocks; };
struct alignas(16) EmuLaunch { unsigned blocks[3], threads[3]; int seed; unsigned dynamic; char arguments[]; };
struct EmuKernel {
  int arity;
  const int* kinds;
  EmuPlace* place;
  char *shared, *shared_end;
  void (*all)(const EmuLaunch*);
  void (*thread)(const char*);
};
struct EmuVote { int any, all, count; };

namespace {
// ---- fibers ----------------------------------------------------------------------------------------------------
const size_t STACK = 64 << 10, PAGE = 4096;
#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
typedef void* Context;
extern "C" void emu_switch(Context* save, Context* load);  // what a call must keep goes to the stack, the stack changes
asm(".text\n.globl emu_switch\n.hidden emu_switch\n.type emu_switch,@function\nemu_switch:\n"
    " pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
    " movq %rsp,(%rdi)\n movq (%rsi),%rsp\n"
    " popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
void prepare(Context& context, char* stack, void (*entry)()) {
  void** top = (void**)(((uintptr_t)stack + STACK) & ~(uintptr_t)15);
  *--top = nullptr;
  *--top = (void*)entry;
  context = top - 6;
}
#else
typedef ucontext_t Context;
void emu_switch(Context* save, Context* load) { swapcontext(save, load); }
void prepare(Context& context, char* stack, void (*entry)()) {
  getcontext(&context);
  context.uc_stack = {stack, 0, STACK};
  makecontext(&context, entry, 0);
}
#endif

struct Fiber {
  Context context;
  char* stack;
  const unsigned* waits_on;  // it may go on once this number is no longer `generation`
  unsigned generation;
  bool done;
};
struct Meeting {  // of the lanes of a warp that a mask names
  unsigned mask, arrived, generation;
  int operation, line;
};
struct Warp {
  unsigned present;   // the lanes that exist
  uint32_t syncs;     // how often __syncwarp has put its lanes in order
  Meeting meetings[32];
  uint64_t values[2][32];
};
struct Block {  // __syncthreads
  unsigned generation, arrived;
  int line, any, all, count;
  EmuVote results[2];
};

std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<char*> stacks, free_stacks;
Block block;
Context scheduler;
Fiber* current;
int now, threads, live;
uint64_t random_state;
char message[600];
const EmuKernel* kernel;
const EmuLaunch* launched;
char *dynamic_end, *dynamic_room;
unsigned dynamic_size;
const unsigned MOST_DYNAMIC = 256 << 10;

unsigned draw(unsigned below) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return (unsigned)((random_state >> 33) % below);
}
template <class T> void shuffle(T* items, int count) {
  for (int i = count - 1; i > 0; --i) std::swap(items[i], items[draw(i + 1)]);
}

// ---- leaving a kernel early --------------------------------------------------------------------------------------
sigjmp_buf out;
bool inside;
int caught_signal;
uintptr_t caught_address;

[[noreturn]] void fail(const char* format, ...) {
  va_list list;
  va_start(list, format);
  int used = vsnprintf(message, sizeof message - 80, format, list);
  va_end(list);
  const uint3 t = kernel->place->thread, b = kernel->place->block;
  snprintf(message + std::min<int>(used, sizeof message - 80), 80, " (block (%u, %u, %u), thread (%u, %u, %u))", b.x, b.y,
           b.z, t.x, t.y, t.z);
  siglongjmp(out, 1);
}
void on_signal(int number, siginfo_t* info, void*) {
  if (!inside) {  // not ours; the default action, when the instruction runs again
    signal(number, SIG_DFL);
    return;
  }
  caught_signal = number;
  caught_address = (uintptr_t)info->si_addr;
  siglongjmp(out, 2);
}
const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
struct Signals {
  struct sigaction before[5];
  stack_t stack_before;
  Signals() {
    static char* room = (char*)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t mine = {};
    mine.ss_sp = room;
    mine.ss_size = STACK;
    sigaltstack(&mine, &stack_before);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 5; ++i) sigaction(SIGNALS[i], &action, &before[i]);
  }
  ~Signals() {
    for (int i = 0; i < 5; ++i) sigaction(SIGNALS[i], &before[i], nullptr);
    sigaltstack(&stack_before, nullptr);
  }
};

// ---- races in shared memory --------------------------------------------------------------------------------------
struct Cell {  // one byte of shared memory; a phase is the time between two barriers, numbered over all blocks
  uint32_t write_phase, read_phase, write_sync, read_sync;
  int16_t writer, reader;
  bool atomic, several, warps;  // the write was atomic; several threads have read, of several warps
};
std::vector<Cell> cells;
uint32_t phase;
uintptr_t static_begin, static_size, dynamic_begin;

Cell* cell_of(uintptr_t address) {
  uintptr_t offset = address - static_begin;
  if (offset < static_size) return &cells[offset];
  offset = address - dynamic_begin;
  return offset < dynamic_size ? &cells[static_size + offset] : nullptr;
}
void race(const char* what, int other, uintptr_t address) {
  const bool dynamic = address - static_begin >= static_size;
  fail("race in shared memory: this thread %s byte %lu of the %s shared memory that thread %d %s, and no barrier is "
       "between them", what, (unsigned long)(address - (dynamic ? dynamic_begin : static_begin)),
       dynamic ? "dynamic" : "static", other, *what == 'r' ? "has written" : "has used");
}
void touch(const void* p, int size, bool writes, bool atomic) {
  const uintptr_t address = (uintptr_t)p;
  Cell* c = cell_of(address);
  if (!c) return;
  const uint32_t sync = warps[now / 32].syncs;
  for (int i = 0; i < size; ++i, ++c) {
    if (c->write_phase == phase && c->writer != now && !(atomic && c->atomic) &&
        !(c->writer / 32 == now / 32 && c->write_sync < sync))
      race(writes ? "writes" : "reads", c->writer, address + i);
    if (writes) {
      if (c->read_phase == phase && !atomic &&
          (c->warps || (c->reader / 32 != now / 32) || ((c->several || c->reader != now) && c->read_sync >= sync)))
        race("writes", c->reader, address + i);
      c->write_phase = phase, c->writer = (int16_t)now, c->write_sync = sync, c->atomic = atomic;
    } else if (c->read_phase != phase) {
      c->read_phase = phase, c->reader = (int16_t)now, c->read_sync = sync, c->several = c->warps = false;
    } else if (c->reader != now) {
      if (c->reader / 32 != now / 32) c->warps = true;
      c->several = c->read_sync >= sync;
      c->reader = (int16_t)now, c->read_sync = sync;
    }
  }
}

// ---- a block -----------------------------------------------------------------------------------------------------
[[noreturn]] void entry() {
  kernel->thread(launched->arguments);
  current->done = true;
  emu_switch(&current->context, &scheduler);
  abort();
}
void wait_for(const unsigned& number) {
  current->waits_on = &number;
  current->generation = number;
  emu_switch(&current->context, &scheduler);
}
uint3 thread_at(unsigned i) {
  const unsigned* b = launched->threads;
  return {i % b[0], i / b[0] % b[1], i / b[0] / b[1]};
}
bool ended_count;  // at barriers
void stuck() {
  int gone = threads - live, at_barrier = block.arrived;
  for (size_t w = 0; w < warps.size(); ++w)
    for (const Meeting& m : warps[w].meetings)
      if (m.arrived)
        fail("deadlock: in warp %zu lanes %08x wait at line %d for all of mask %08x%s", w, m.arrived, m.line, m.mask,
             gone ? "; other threads have ended" : at_barrier ? "; other threads wait at __syncthreads" : "");
  fail("divergent barrier: %d of %d threads wait at __syncthreads in line %d, %d have ended", at_barrier, threads,
       block.line, gone);
}
void run_block() {
  block = Block();
  live = threads;
  ++phase;
  memset(kernel->shared, 0xff, kernel->shared_end - kernel->shared);  // NaN, and -1
  memset(dynamic_end - dynamic_size, 0xff, dynamic_size);
  const int count = (threads + 31) / 32;
  warps.resize(count);
  fibers.resize(threads);
  static int warp_order[32], lanes[32];
  for (int w = 0; w < count; ++w) {
    const int here = std::min(32, threads - w * 32);
    warps[w].present = here == 32 ? ~0u : (1u << here) - 1;
    warps[w].syncs = 0;
    memset(warps[w].meetings, 0, sizeof warps[w].meetings);
    warp_order[w] = w;
  }
  for (Fiber& f : fibers) f.stack = nullptr, f.waits_on = nullptr, f.done = false;
  free_stacks = stacks;
  while (live) {
    bool moved = false;
    shuffle(warp_order, count);
    for (int k = 0; k < count; ++k)
      for (bool again = true; again;) {
        again = false;
        const int first = warp_order[k] * 32, here = std::min(32, threads - first);
        for (int l = 0; l < here; ++l) lanes[l] = l;
        shuffle(lanes, here);
        for (int l = 0; l < here; ++l) {
          now = first + lanes[l];
          Fiber& f = fibers[now];
          if (f.done || (f.waits_on && *f.waits_on == f.generation)) continue;
          if (!f.stack) {
            if (free_stacks.empty()) {
              char* p = (char*)mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              mprotect(p, PAGE, PROT_NONE);
              stacks.push_back(p + PAGE);
              free_stacks.push_back(p + PAGE);
            }
            f.stack = free_stacks.back();
            free_stacks.pop_back();
            prepare(f.context, f.stack, entry);
          }
          f.waits_on = nullptr;
          current = &f;
          kernel->place->thread = thread_at(now);
          emu_switch(&scheduler, &f.context);
          moved = again = true;
          if (f.done) --live, free_stacks.push_back(f.stack);
        }
      }
    if (live && !moved) {
      if (ended_count && (int)block.arrived == live) {
        block.results[block.generation & 1] = {block.any, block.all, block.count};
        block.arrived = 0; ++block.generation; ++phase;
      } else stuck();
    }
  }
}
void run_blocks() {
  const unsigned* g = launched->blocks;
  static_begin = (uintptr_t)kernel->shared, static_size = kernel->shared_end - kernel->shared;
  dynamic_begin = (uintptr_t)dynamic_end - dynamic_size;
  if (cells.size() < static_size + dynamic_size) cells.resize(static_size + dynamic_size);
  threads = launched->threads[0] * launched->threads[1] * launched->threads[2];
  const unsigned blocks = g[0] * g[1] * g[2];
  for (unsigned i = 0; i < blocks; ++i) {
    const unsigned at = launched->seed & 1 ? blocks - 1 - i : i;
    kernel->place->block = {at % g[0], at / g[0] % g[1], at / g[0] / g[1]};
    run_block();
  }
}
// Whether denormal operands and results are zero from now on.
void flush_denormals(bool on) {
#if defined(__x86_64__)
  const unsigned modes = __builtin_ia32_stmxcsr(), both = 0x8040;
  __builtin_ia32_ldmxcsr(on ? modes | both : modes & ~both);
#endif
}
}  // namespace

extern "C" {
// Runs a kernel. Returns nullptr, or what went wrong; after a signal that is where, and emu_signal says which.
// `lenient`: threads that have ended count as arrived at a barrier, as on a device, which CUDA does not promise.
const char* emu_run(const EmuKernel* k, const EmuLaunch* launch, int lenient) {
  kernel = k, launched = launch, ended_count = lenient;
  random_state = (uint64_t)launch->seed * 0x9e3779b97f4a7c15ull + 0x853c49e6748fea9bull;
  message[0] = 0, caught_signal = 0;
  if (!dynamic_end) {  // right before a page that nobody may touch
    dynamic_room = (char*)mmap(nullptr, MOST_DYNAMIC + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(dynamic_room + MOST_DYNAMIC, PAGE, PROT_NONE);
    dynamic_end = dynamic_room + MOST_DYNAMIC;
  }
  const unsigned *g = launch->blocks, *b = launch->threads;
  k->place->threads = {b[0], b[1], b[2]};
  k->place->blocks = {g[0], g[1], g[2]};
  static_size = 0, dynamic_size = launch->dynamic;
  Signals signals;
  inside = true;
  flush_denormals(EMU_FLUSH);
  if (sigsetjmp(out, 0) == 0) {
    if (k->all) k->all(launch);
    else run_blocks();
  }
  flush_denormals(false);
  inside = false;
  if (caught_signal) {
    const uint3 t = k->place->thread, at = k->place->block;
    snprintf(message, sizeof message, "block (%u, %u, %u), thread (%u, %u, %u)", at.x, at.y, at.z, t.x, t.y, t.z);
  }
  return message[0] ? message : nullptr;
}
int emu_signal(uintptr_t* address) {
  *address = caught_address;
  return caught_signal;
}

EmuVote emu_barrier(int predicate, int line) {
  if (kernel->all) fail("__syncthreads in line %d, in a kernel that was taken for one without", line);
  if (block.arrived == 0) block.line = line, block.any = 0, block.all = 1, block.count = 0;
  if (block.line != line)
    fail("divergent barrier: threads of one block wait at __syncthreads in line %d and in line %d", block.line, line);
  block.any |= predicate != 0, block.all &= predicate != 0, block.count += predicate != 0;
  const unsigned generation = block.generation;
  if ((int)++block.arrived == threads) {
    block.results[generation & 1] = {block.any, block.all, block.count};
    block.arrived = 0;
    ++block.generation;
    ++phase;
  } else {
    wait_for(block.generation);
  }
  return block.results[generation & 1];
}
unsigned emu_present(unsigned mask) { return mask & warps[now / 32].present; }
int emu_lane() { return now & 31; }
char* emu_dynamic() { return dynamic_end - dynamic_size; }

const uint64_t* emu_meet(unsigned mask, uint64_t value, int operation, int line) {
  if (kernel->all) fail("a warp function in line %d, in a kernel that was taken for one without", line);
  Warp& w = warps[now / 32];
  const int lane = now & 31;
  if (!(mask >> lane & 1)) fail("warp function in line %d: lane %d is not in its own mask %08x", line, lane, mask);
  Meeting& m = w.meetings[__builtin_ctz(mask)];
  if (m.arrived == 0) m.mask = mask, m.operation = operation, m.line = line;
  if (m.mask != mask || m.operation != operation || m.line != line)
    fail("divergent warp: lanes meet in line %d with mask %08x and in line %d with mask %08x", m.line, m.mask, line, mask);
  const unsigned generation = m.generation;
  w.values[generation & 1][lane] = value;
  m.arrived |= 1u << lane;
  if (m.arrived == (mask & w.present)) {
    m.arrived = 0;
    ++m.generation;
    if (operation == 0) ++w.syncs;
  } else {
    wait_for(m.generation);
  }
  return w.values[generation & 1];
}

// ---- what the compiler calls at every access, as it would for its own race detector
void emu_atomic(const void* p, int size) {
  if (!kernel->all) touch(p, size, true, true);
}
void __tsan_init() {}
#define WATCH(size)                                                                  \
  void __tsan_read##size(void* p) { touch(p, size, false, false); }                  \
  void __tsan_write##size(void* p) { touch(p, size, true, false); }                  \
  void __tsan_unaligned_read##size(void* p) { touch(p, size, false, false); }        \
  void __tsan_unaligned_write##size(void* p) { touch(p, size, true, false); }
WATCH(1) WATCH(2) WATCH(4) WATCH(8) WATCH(16)
void __tsan_read_range(void* p, unsigned long size) { touch(p, (int)size, false, false); }
void __tsan_write_range(void* p, unsigned long size) { touch(p, (int)size, true, false); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

// ---- functions that libm does not have
unsigned short emu_f32_to_f16(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  const unsigned sign = u >> 16 & 0x8000;
  u &= 0x7fffffff;
  if (u > 0x7f800000) return (unsigned short)(sign | 0x7e00 | (u >> 13 & 0x3ff));
  if (u >= 0x477ff000) return (unsigned short)(sign | 0x7c00);
  float magnitude;
  memcpy(&magnitude, &u, 4);
  if (u < 0x38800000) return (unsigned short)(sign | (unsigned)std::nearbyint(magnitude * 0x1p24f));
  u += 0xfff + (u >> 13 & 1) - (112u << 23);
  return (unsigned short)(sign | u >> 13);
}
float emu_f16_to_f32(unsigned short h) {
  const unsigned exponent = h >> 10 & 31, fraction = h & 0x3ff;
  float f = exponent == 31 ? (fraction ? NAN : INFINITY)
            : exponent     ? std::ldexp(1.0f + fraction / 1024.0f, (int)exponent - 15)
                           : fraction * 0x1p-24f;
  return h & 0x8000 ? -f : f;
}
double emu_erfcinv(double y) {  // a start from the tail's asymptote or a series, then Newton steps with curvature
  if (!(y >= 0 && y <= 2)) return NAN;
  if (y == 0 || y == 2) return y == 0 ? INFINITY : -INFINITY;
  if (y > 1) return -emu_erfcinv(2 - y);
  const double t = std::sqrt(-2 * std::log(y / 2));
  double x = (t - (2.30753 + 0.27061 * t) / (1 + t * (0.99229 + 0.04481 * t))) * 0.70710678118654752;
  for (int i = 0; i < 3; ++i) {
    const double e = std::erfc(x) - y;
    const double step = e / (1.1283791670955126 * std::exp(-x * x));
    x += step / (1 + x * step);
  }
  return x;
}
double emu_erfinv(double y) {
  if (!(y >= -1 && y <= 1)) return NAN;
  if (std::fabs(y) == 1) return y * INFINITY;
  if (std::fabs(y) > 0.5) return y > 0 ? emu_erfcinv(1 - y) : -emu_erfcinv(1 + y);
  double x = 0.88622692545275801 * y * (1 + 0.26179938779914941 * y * y);
  for (int i = 0; i < 4; ++i) {
    const double step = (std::erf(x) - y) / (1.1283791670955126 * std::exp(-x * x));
    x -= step / (1 + x * step);
  }
  return x;
}
float emu_erfinvf(float y) { return (float)emu_erfinv(y); }
float emu_erfcinvf(float y) { return (float)emu_erfcinv(y); }
}
