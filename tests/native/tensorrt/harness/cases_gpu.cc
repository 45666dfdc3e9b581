// The launch itself, on a GPU: results equal to the launcher's bit for bit, and right.
#include <algorithm>

#include "check.h"
#include "device.h"

using namespace harness;

namespace {

using Bytes = std::vector<unsigned char>;

// Relative to a float64 oracle: half a unit in the last place of float16 (2^-11), or for float32 a
// little over the 2 * PyTorch's error + 4e-6 of tests/gpu. Wrong tensors differ by far more.
double BoundOf(DataType type) { return type == DataType::kHALF ? 5.2e-4 : 1e-5; }

// What a CUDA stream must have done by now.
void Synchronize(cudaStream_t stream) {
  EXPECT(cudaStreamSynchronize(stream) == cudaSuccess, cudaGetErrorString(cudaGetLastError()));
}

struct Stream {
  cudaStream_t stream = nullptr;
  Stream() { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }
  ~Stream() { cudaStreamDestroy(stream); }
};

// A plugin as an execution context has it: built, serialized, loaded, attached, given its shape.
PluginPointer InContext(const Library& library, const Node& node, int32_t tactic) {
  const PluginPointer built = Create(library, node);
  if (built == nullptr) return nullptr;
  const PluginPointer loaded = Reload(library, node, *built);
  if (loaded == nullptr) return nullptr;
  PluginPointer attached(Runtime(*loaded).attachToContext(nullptr));
  EXPECT(Runtime(*attached).setTactic(tactic) == 0, std::to_string(tactic));
  EXPECT(ChangeShape(*attached, node) == 0, node.op);
  return attached;
}

std::vector<int32_t> TacticsHere(const Library& library, const Node& node) {
  const PluginPointer plugin = Create(library, node);
  EXPECT(Configure(*plugin, node, node) == 0, node.op);
  return TacticsOf(*plugin);
}

// batch, frames, joints, d_inner, d_state, dt_rank, gated; SelectiveScan's oracle has one batch
// item.
constexpr Sizes kSizes[] = {{1, 1, 17, 32, 16, 4},         {1, 27, 17, 128, 16, 8},
                            {1, 9, 17, 40, 5, 3, false},   {3, 5, 17, 64, 16, 4},
                            {1, 81, 17, 64, 16, 4, false}, {1, 5, 7, 24, 64, 16},
                            {2, 12, 13, 136, 16, 9}};

}  // namespace

CASE(gpu_outputs_equal_the_launchers) {
  const Library library;
  const Launcher launcher;
  REQUIRE(launcher.ready(), cuda_path);
  const Stream stream;
  for (const std::string& op : Operators()) {
    for (const DataType type : {DataType::kFLOAT, DataType::kHALF}) {
      for (Sizes sizes : kSizes) {
        if (op == "SelectiveScan") sizes.batch = 1;
        const Problem problem = MakeProblem(op, sizes, type, 5);
        const std::vector<int32_t> tactics = TacticsHere(library, problem.node);
        EXPECT(tactics.size() > 2, op + " has tactics on a device");
        for (const int32_t tactic : tactics) {
          const std::string what =
              op + " frames " + std::to_string(sizes.frames) + " tactic " + std::to_string(tactic);
          const Bytes wanted = launcher.Run(problem, TuningOfTactic(tactic));
          REQUIRE(!wanted.empty(), what);
          const PluginPointer plugin = InContext(library, problem.node, tactic);
          Buffer output(problem.output_bytes());
          const Buffer workspace(WorkspaceOf(*plugin, problem.node, problem.node));
          EXPECT(Enqueue(*plugin, problem, output, workspace, stream.stream) == 0, what);
          Synchronize(stream.stream);
          EXPECT(output.Bytes() == wanted, what);
          EXPECT(output.GuardsIntact() && workspace.GuardsIntact(), what);
          const double error = ErrorOf(problem, wanted);
          EXPECT(error < BoundOf(type), what + " error " + std::to_string(error));
        }
      }
    }
  }
  EXPECT(TakeLog().empty(), "");
}

CASE(gpu_graph) {
  const Library library;
  const Launcher launcher;
  REQUIRE(launcher.ready(), cuda_path);
  for (const std::string& op : Operators()) {
    for (const DataType type : {DataType::kFLOAT, DataType::kHALF}) {
      const Problem problem = MakeProblem(op, {1, 27, 17, 64}, type, 6);
      for (const int32_t tactic : TacticsHere(library, problem.node)) {
        const std::string what = op + " tactic " + std::to_string(tactic);
        const Bytes wanted = launcher.Run(problem, TuningOfTactic(tactic));
        const PluginPointer plugin = InContext(library, problem.node, tactic);
        Buffer output(problem.output_bytes());
        Buffer workspace(WorkspaceOf(*plugin, problem.node, problem.node));
        const Stream stream;
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t ready = nullptr;
        cudaStreamBeginCapture(stream.stream, cudaStreamCaptureModeGlobal);
        const int32_t status = Enqueue(*plugin, problem, output, workspace, stream.stream);
        REQUIRE(cudaStreamEndCapture(stream.stream, &graph) == cudaSuccess && status == 0, what);
        REQUIRE(cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess, what);
        for (int replay = 0; replay < 3; ++replay) {
          output.Poison(), workspace.Poison();
          EXPECT(cudaGraphLaunch(ready, stream.stream) == cudaSuccess, what);
          Synchronize(stream.stream);
          EXPECT(output.Bytes() == wanted, what);
        }
        EXPECT(output.GuardsIntact() && workspace.GuardsIntact(), what);
        cudaGraphExecDestroy(ready);
        cudaGraphDestroy(graph);
      }
    }
  }
}

// A workspace of exactly the profile's size serves every shape of it, with every tactic.
CASE(gpu_workspace_of_the_profile) {
  const Library library;
  const Launcher launcher;
  REQUIRE(launcher.ready(), cuda_path);
  const Stream stream;
  for (const std::string& op : Operators()) {
    const bool cross = op == "CrossSelectiveScan";
    const Node small = MakeNode(op, {1, 1, 17, 32}), large = MakeNode(op, {8, 81, 17, 32});
    const PluginPointer any = Create(library, small);
    const size_t reserved = WorkspaceOf(*any, small, large);
    const std::vector<int32_t> tactics = TacticsHere(library, large);
    for (int64_t batch = 1; batch <= 8; ++batch) {
      for (int64_t frames = 1; frames <= 81; ++frames) {
        const Node node = MakeNode(op, {batch, frames, 17, 32});
        for (const int32_t tactic : tactics) {
          const size_t needed = launcher.Workspace(node, TuningOfTactic(tactic));
          EXPECT(needed > 0 && needed <= reserved, op + " " + std::to_string(batch) + "x" +
                                                       std::to_string(frames) + " tactic " +
                                                       std::to_string(tactic));
        }
      }
    }
    for (const int64_t frames : {1, 9, 80}) {
      const Sizes sizes{cross ? 3 : 1, frames, 17, 32};
      const Problem problem = MakeProblem(op, sizes, DataType::kFLOAT, 7);
      Buffer workspace(reserved);
      for (const int32_t tactic : tactics) {
        const PluginPointer plugin = InContext(library, problem.node, tactic);
        workspace.Poison();
        const Buffer output(problem.output_bytes());
        EXPECT(Enqueue(*plugin, problem, output, workspace, stream.stream) == 0, op);
        Synchronize(stream.stream);
        EXPECT(output.Bytes() == launcher.Run(problem, TuningOfTactic(tactic)), op);
        EXPECT(workspace.GuardsIntact(), op);
      }
    }
  }
}

CASE(gpu_contexts_on_streams_of_their_own) {
  const Library library;
  const Launcher launcher;
  REQUIRE(launcher.ready(), cuda_path);
  for (const std::string& op : Operators()) {
    const Problem problem = MakeProblem(op, {1, 27, 17, 64}, DataType::kHALF, 8);
    const std::vector<int32_t> tactics = TacticsHere(library, problem.node);
    const Stream streams[2];
    const int32_t chosen[2] = {tactics.front(), tactics.back()};
    std::vector<PluginPointer> plugins;
    std::vector<std::unique_ptr<Buffer>> outputs, workspaces;
    for (const int32_t tactic : chosen) {
      plugins.push_back(InContext(library, problem.node, tactic));
      outputs.push_back(std::make_unique<Buffer>(problem.output_bytes()));
      workspaces.push_back(
          std::make_unique<Buffer>(WorkspaceOf(*plugins.back(), problem.node, problem.node)));
    }
    for (int repeat = 0; repeat < 10; ++repeat) {
      for (size_t i = 0; i < 2; ++i) {
        EXPECT(Enqueue(*plugins[i], problem, *outputs[i], *workspaces[i], streams[i].stream) == 0,
               op);
      }
    }
    for (size_t i = 0; i < 2; ++i) {
      Synchronize(streams[i].stream);
      EXPECT(outputs[i]->Bytes() == launcher.Run(problem, TuningOfTactic(chosen[i])), op);
    }
  }
}

// A refused launch leaves no CUDA error behind that a later call would meet.
CASE(gpu_refusals_leave_nothing_behind) {
  const Library library;
  const Stream stream;
  for (const std::string& op : Operators()) {
    Problem problem = MakeProblem(op, {1, 9, 17, 32}, DataType::kFLOAT, 9);
    const PluginPointer plugin = InContext(library, problem.node, 1);
    const Buffer output(problem.output_bytes());
    const Buffer workspace(WorkspaceOf(*plugin, problem.node, problem.node));
    const auto tensors = Describe(problem.node);
    std::vector<const void*> inputs = problem.pointers();
    void* outputs[] = {output.data()};
    inputs[0] = nullptr;
    std::string errors;
    EXPECT(Runtime(*plugin).enqueue(tensors.data(), tensors.data() + problem.node.count(),
                                    inputs.data(), outputs, workspace.data(), stream.stream) != 0,
           op);
    EXPECT(OneErrorSaying("invalid argument", &errors), errors);
    EXPECT(cudaGetLastError() == cudaSuccess, op);
    EXPECT(Enqueue(*plugin, problem, output, workspace, stream.stream) == 0, op);
    Synchronize(stream.stream);
    const double error = ErrorOf(problem, output.Bytes());
    EXPECT(error < BoundOf(DataType::kFLOAT), std::to_string(error));
  }
}
