// The launch itself, on a GPU: results equal to the launcher's bit for bit, and right.
#include <algorithm>

#include "check.h"
#include "device.h"

using namespace harness;

namespace {

using Bytes = std::vector<unsigned char>;

// Relative to a float64 oracle: in float16 two roundings of half a unit in the last place (2^-11),
// of the output and, where a scan reads prepared rows, of the limb sum before it; for float32 a
// little over the 2 * PyTorch's error + 4e-6 of tests/gpu. Wrong tensors differ by far more.
double bound_of(DataType type) { return type == DataType::kHALF ? 1e-3 : 1e-5; }

// What a CUDA stream must have done by now.
void synchronize(cudaStream_t stream) {
  EXPECT(cudaStreamSynchronize(stream) == cudaSuccess, cudaGetErrorString(cudaGetLastError()));
}

struct Stream {
  cudaStream_t stream = nullptr;
  Stream() { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }
  ~Stream() { cudaStreamDestroy(stream); }
};

// A plugin as an execution context has it: built, serialized, loaded, attached, given its shape.
PluginPointer in_context(const Library& library, const Node& node, int32_t tactic) {
  const PluginPointer built = create(library, node);
  if (built == nullptr) return nullptr;
  const PluginPointer loaded = reload(library, node, *built);
  if (loaded == nullptr) return nullptr;
  PluginPointer attached(Runtime(*loaded).attachToContext(nullptr));
  EXPECT(Runtime(*attached).setTactic(tactic) == 0, std::to_string(tactic));
  EXPECT(change_shape(*attached, node) == 0, node.op);
  return attached;
}

std::vector<int32_t> tactics_here(const Library& library, const Node& node) {
  const PluginPointer plugin = create(library, node);
  EXPECT(configure(*plugin, node, node) == 0, node.op);
  return tactics_of(*plugin);
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
  for (const std::string& op : operators()) {
    for (const DataType type : {DataType::kFLOAT, DataType::kHALF}) {
      for (Sizes sizes : kSizes) {
        if (op == "SelectiveScan") sizes.batch = 1;
        const Problem problem = make_problem(op, sizes, type, 5);
        const std::vector<int32_t> tactics = tactics_here(library, problem.node);
        EXPECT(tactics.size() > 2, op + " has tactics on a device");
        for (const int32_t tactic : tactics) {
          const std::string what =
              op + " frames " + std::to_string(sizes.frames) + " tactic " + std::to_string(tactic);
          const Bytes wanted = launcher.run(problem, tuning_of_tactic(tactic));
          REQUIRE(!wanted.empty(), what);
          const PluginPointer plugin = in_context(library, problem.node, tactic);
          Buffer output(problem.output_bytes());
          const Buffer workspace(workspace_of(*plugin, problem.node, problem.node));
          EXPECT(enqueue(*plugin, problem, output, workspace, stream.stream) == 0, what);
          synchronize(stream.stream);
          EXPECT(output.bytes() == wanted, what);
          EXPECT(output.guards_intact() && workspace.guards_intact(), what);
          const double error = error_of(problem, wanted);
          EXPECT(error < bound_of(type), what + " error " + std::to_string(error));
        }
      }
    }
  }
  EXPECT(take_log().empty(), "");
}

// Where the launcher has such sums its results tell; the twin's always do.
CASE(gpu_half_sums_reach_the_launcher) {
  const Library library;
  const Launcher launcher;
  REQUIRE(launcher.ready(), cuda_path);
  const Stream stream;
  for (const Sizes& sizes : {Sizes{1, 27, 17, 256, 16, 8}, Sizes{1, 9, 17, 64, 16, 4}}) {
    Problem problem = make_problem("CrossSelectiveScan", sizes, DataType::kHALF, 8);
    problem.node.attribute("half_sums") = {1};
    const Bytes wanted = launcher.run(problem, {});
    REQUIRE(!wanted.empty(), "");
    const PluginPointer plugin = in_context(library, problem.node, 0);
    Buffer output(problem.output_bytes());
    const Buffer workspace(workspace_of(*plugin, problem.node, problem.node));
    EXPECT(enqueue(*plugin, problem, output, workspace, stream.stream) == 0, "");
    synchronize(stream.stream);
    EXPECT(output.bytes() == wanted, std::to_string(sizes.d_inner));
  }
  EXPECT(take_log().empty(), "");
}

CASE(gpu_graph) {
  const Library library;
  const Launcher launcher;
  REQUIRE(launcher.ready(), cuda_path);
  for (const std::string& op : operators()) {
    for (const DataType type : {DataType::kFLOAT, DataType::kHALF}) {
      const Problem problem = make_problem(op, {1, 27, 17, 64}, type, 6);
      for (const int32_t tactic : tactics_here(library, problem.node)) {
        const std::string what = op + " tactic " + std::to_string(tactic);
        const Bytes wanted = launcher.run(problem, tuning_of_tactic(tactic));
        const PluginPointer plugin = in_context(library, problem.node, tactic);
        Buffer output(problem.output_bytes());
        Buffer workspace(workspace_of(*plugin, problem.node, problem.node));
        const Stream stream;
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t ready = nullptr;
        cudaStreamBeginCapture(stream.stream, cudaStreamCaptureModeGlobal);
        const int32_t status = enqueue(*plugin, problem, output, workspace, stream.stream);
        REQUIRE(cudaStreamEndCapture(stream.stream, &graph) == cudaSuccess && status == 0, what);
        REQUIRE(cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess, what);
        for (int replay = 0; replay < 3; ++replay) {
          output.poison(), workspace.poison();
          EXPECT(cudaGraphLaunch(ready, stream.stream) == cudaSuccess, what);
          synchronize(stream.stream);
          EXPECT(output.bytes() == wanted, what);
        }
        EXPECT(output.guards_intact() && workspace.guards_intact(), what);
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
  for (const std::string& op : operators()) {
    const bool cross = op == "CrossSelectiveScan";
    const Node small = make_node(op, {1, 1, 17, 32}), large = make_node(op, {8, 81, 17, 32});
    const PluginPointer any = create(library, small);
    const size_t reserved = workspace_of(*any, small, large);
    const std::vector<int32_t> tactics = tactics_here(library, large);
    for (int64_t batch = 1; batch <= 8; ++batch) {
      for (int64_t frames = 1; frames <= 81; ++frames) {
        const Node node = make_node(op, {batch, frames, 17, 32});
        for (const int32_t tactic : tactics) {
          const size_t needed = launcher.workspace(node, tuning_of_tactic(tactic));
          EXPECT(needed > 0 && needed <= reserved, op + " " + std::to_string(batch) + "x" +
                                                       std::to_string(frames) + " tactic " +
                                                       std::to_string(tactic));
        }
      }
    }
    for (const int64_t frames : {1, 9, 80}) {
      const Sizes sizes{cross ? 3 : 1, frames, 17, 32};
      const Problem problem = make_problem(op, sizes, DataType::kFLOAT, 7);
      Buffer workspace(reserved);
      for (const int32_t tactic : tactics) {
        const PluginPointer plugin = in_context(library, problem.node, tactic);
        workspace.poison();
        const Buffer output(problem.output_bytes());
        EXPECT(enqueue(*plugin, problem, output, workspace, stream.stream) == 0, op);
        synchronize(stream.stream);
        EXPECT(output.bytes() == launcher.run(problem, tuning_of_tactic(tactic)), op);
        EXPECT(workspace.guards_intact(), op);
      }
    }
  }
}

CASE(gpu_contexts_on_streams_of_their_own) {
  const Library library;
  const Launcher launcher;
  REQUIRE(launcher.ready(), cuda_path);
  for (const std::string& op : operators()) {
    const Problem problem = make_problem(op, {1, 27, 17, 64}, DataType::kHALF, 8);
    const std::vector<int32_t> tactics = tactics_here(library, problem.node);
    const Stream streams[2];
    const int32_t chosen[2] = {tactics.front(), tactics.back()};
    std::vector<PluginPointer> plugins;
    std::vector<std::unique_ptr<Buffer>> outputs, workspaces;
    for (const int32_t tactic : chosen) {
      plugins.push_back(in_context(library, problem.node, tactic));
      outputs.push_back(std::make_unique<Buffer>(problem.output_bytes()));
      workspaces.push_back(
          std::make_unique<Buffer>(workspace_of(*plugins.back(), problem.node, problem.node)));
    }
    for (int repeat = 0; repeat < 10; ++repeat) {
      for (size_t i = 0; i < 2; ++i) {
        EXPECT(enqueue(*plugins[i], problem, *outputs[i], *workspaces[i], streams[i].stream) == 0,
               op);
      }
    }
    for (size_t i = 0; i < 2; ++i) {
      synchronize(streams[i].stream);
      EXPECT(outputs[i]->bytes() == launcher.run(problem, tuning_of_tactic(chosen[i])), op);
    }
  }
}

// A refused launch leaves no CUDA error behind that a later call would meet.
CASE(gpu_refusals_leave_nothing_behind) {
  const Library library;
  const Stream stream;
  for (const std::string& op : operators()) {
    Problem problem = make_problem(op, {1, 9, 17, 32}, DataType::kFLOAT, 9);
    const PluginPointer plugin = in_context(library, problem.node, 1);
    const Buffer output(problem.output_bytes());
    const Buffer workspace(workspace_of(*plugin, problem.node, problem.node));
    const auto tensors = describe(problem.node);
    std::vector<const void*> inputs = problem.pointers();
    void* outputs[] = {output.data()};
    inputs[0] = nullptr;
    std::string errors;
    EXPECT(Runtime(*plugin).enqueue(tensors.data(), tensors.data() + problem.node.count(),
                                    inputs.data(), outputs, workspace.data(), stream.stream) != 0,
           op);
    EXPECT(one_error_saying("invalid argument", &errors), errors);
    EXPECT(cudaGetLastError() == cudaSuccess, op);
    EXPECT(enqueue(*plugin, problem, output, workspace, stream.stream) == 0, op);
    synchronize(stream.stream);
    const double error = error_of(problem, output.bytes());
    EXPECT(error < bound_of(DataType::kFLOAT), std::to_string(error));
  }
}
