// The block's launchers called without a plugin, from what posemamba/block_cuda.h says of them.
#include <dlfcn.h>

#include <algorithm>

#include "block_node.h"
#include "posemamba/block_cuda.h"

namespace harness {
namespace {

// What a launcher's parameters are filled from.
struct Call {
  const BlockNode& node;
  const BlockData& data;
  void* library;
  void* workspace;

  const std::vector<int64_t>& dims(const char* name) const {
    return node.inputs[node.place(name)].dims;
  }
  const void* input(const char* name) const {
    return node.has(name) ? data.inputs[node.place(name)]->data() : nullptr;
  }
  const float* floats(const char* name) const { return static_cast<const float*>(input(name)); }
  void* output(size_t i) const { return data.outputs[i]->data(); }
  int32_t dtype(const char* name) const {
    return node.inputs[node.place(name)].type == DataType::kHALF ? PM_FLOAT16 : PM_FLOAT32;
  }
  int32_t last(const char* name) const { return static_cast<int32_t>(dims(name).back()); }
  // The address `elements` further on.
  const void* beyond(const char* name, int64_t elements) const {
    return static_cast<const char*>(input(name)) + elements * (dtype(name) == PM_FLOAT16 ? 2 : 4);
  }

  template <class Function, class... Arguments>
  bool launch(const char* name, Function*, Arguments... arguments) const {
    const auto function = reinterpret_cast<Function*>(dlsym(library, name));
    return function != nullptr && function(arguments...) == cudaSuccess;
  }
};

bool conv_silu(const Call& c) {
  const std::vector<int64_t>& xz = c.dims("xz");
  pm_conv_silu_params p{};
  p.x = c.input("xz"), p.weight = c.floats("weight"), p.bias = c.floats("bias");
  p.y = c.output(0);
  p.batch = xz[0], p.frames = xz[1], p.joints = static_cast<int32_t>(xz[2]), p.x_stride = xz[3];
  p.channels = c.last("bias"), p.dtype = c.dtype("xz");
  return c.launch("pm_cuda_conv_silu", &pm_cuda_conv_silu, &p, nullptr);
}

bool gated_norm(const Call& c) {
  const std::vector<int64_t>&y = c.dims("y"), &xz = c.dims("xz");
  pm_gated_norm_params p{};
  p.y = c.input("y"), p.z = c.beyond("xz", xz[3] - y[3]), p.out = c.output(0);
  p.gamma = c.floats("gamma"), p.beta = c.floats("beta"), p.epsilon = c.node.real("epsilon");
  p.rows = y[0] * y[1] * y[2], p.z_stride = xz[3];
  p.channels = c.last("y"), p.dtype = c.dtype("y");
  return c.launch("pm_cuda_gated_norm", &pm_cuda_gated_norm, &p, nullptr);
}

bool add_norm(const Call& c) {
  const std::vector<int64_t>& r = c.dims("residual");
  pm_add_norm_params p{};
  p.residual = c.floats("residual"), p.branch = c.input("branch");
  p.gamma = c.floats("gamma"), p.beta = c.floats("beta");
  p.shared_gamma = c.floats("shared_gamma"), p.shared_beta = c.floats("shared_beta");
  p.stream = static_cast<float*>(c.output(0)), p.out = c.output(1);
  p.rows = r[0] * r[1] * r[2], p.channels = c.last("residual"), p.dtype = c.dtype("branch");
  p.epsilon = c.node.real("epsilon"), p.shared_epsilon = c.node.real("shared_epsilon");
  return c.launch("pm_cuda_add_norm", &pm_cuda_add_norm, &p, nullptr);
}

bool embed(const Call& c) {
  const std::vector<int64_t>& k = c.dims("keypoints_2d");
  pm_embed_params p{};
  p.keypoints_2d = c.floats("keypoints_2d"), p.weight = c.floats("weight");
  p.bias = c.floats("bias"), p.joint_position = c.floats("joint_position");
  p.next_norm = c.floats("next_norm"), p.stream = static_cast<float*>(c.output(0));
  p.next.in_proj = c.input("in_proj"), p.next.xz = c.output(1);
  p.next.epsilon = c.node.real("epsilon");
  p.batch = k[0], p.frames = k[1], p.joints = static_cast<int32_t>(k[2]);
  p.d_model = c.last("bias");
  return c.launch("pm_cuda_embed", &pm_cuda_embed, &p, nullptr);
}

// The inputs of a convolution: those of ConvProj, or of a block, which names two of them otherwise.
pm_conv_proj_params conv_of(const Call& c, const char* weight, const char* bias) {
  const std::vector<int64_t>& xz = c.dims("xz");
  pm_conv_proj_params p{};
  p.x = c.input("xz"), p.weight = c.floats(weight), p.bias = c.floats(bias);
  p.projection = c.input("projection");
  p.batch = xz[0], p.frames = xz[1], p.joints = static_cast<int32_t>(xz[2]), p.x_stride = xz[3];
  p.channels = c.last(bias), p.columns = static_cast<int32_t>(16 * c.dims("projection")[0]);
  return p;
}

bool conv_proj(const Call& c) {
  pm_conv_proj_params p = conv_of(c, "weight", "bias");
  p.u = c.output(0), p.x_dbl = c.output(1);
  return c.launch("pm_cuda_conv_proj", &pm_cuda_conv_proj, &p, nullptr);
}

// All but the addresses of u and x_dbl, whose rows have `columns` elements.
pm_cross_scan_params scan_of(const Call& c, int64_t columns) {
  const std::vector<int64_t>&xz = c.dims("xz"), &A = c.dims("A");
  pm_cross_scan_params p{};
  p.dt_weight = c.floats("dt_weight"), p.dt_bias = c.floats("dt_bias");
  p.A = c.floats("A"), p.D = c.floats("D");
  p.batch = xz[0], p.frames = xz[1], p.joints = static_cast<int32_t>(xz[2]);
  p.d_inner = static_cast<int32_t>(A[1]), p.x_stride = p.y_stride = A[1];
  p.x_dbl_stride = columns;
  p.directions = static_cast<int32_t>(A[0]), p.d_state = static_cast<int32_t>(A[2]);
  p.dt_rank = c.last("dt_weight"), p.dtype = PM_FLOAT16;
  for (const Attribute& one : c.node.ints) {
    int32_t* to = one.name == "order"        ? p.order
                  : one.name == "reverse"    ? p.reverse
                  : one.name == "limb_mask"  ? p.limb_mask
                  : one.name == "limb_index" ? p.limb_index
                  : one.name == "half_sums"  ? &p.half_sums
                                             : nullptr;
    if (to != nullptr) std::copy(one.values.begin(), one.values.end(), to);
  }
  return p;
}

pm_block_tail_params tail_of(const Call& c, int64_t columns) {
  const int64_t d = c.dims("residual")[3];
  pm_block_tail_params p{};
  p.scan = scan_of(c, columns);
  p.z = c.beyond("xz", 2 * d), p.z_stride = 4 * d, p.vectors = c.floats("vectors");
  p.out_proj = c.input("out_proj"), p.fc1 = c.input("fc1"), p.fc2 = c.input("fc2");
  p.residual = c.floats("residual"), p.position = c.floats("position");
  p.stream = static_cast<float*>(c.output(0)), p.d_model = static_cast<int32_t>(d);
  p.out_epsilon = c.node.real("out_epsilon"), p.norm2_epsilon = c.node.real("norm2_epsilon");
  p.shared_epsilon = c.node.real("shared_epsilon"), p.next.epsilon = c.node.real("next_epsilon");
  if (c.node.has("in_proj")) {
    p.next.in_proj = c.input("in_proj"), p.next.xz = c.output(1);
  } else {
    p.next.head_weight = c.floats("head_weight"), p.next.head_bias = c.floats("head_bias");
    p.next.poses_3d = static_cast<float*>(c.output(1));
  }
  return p;
}

bool tail(const Call& c) {
  pm_block_tail_params p = tail_of(c, c.dims("x_dbl")[3]);
  p.scan.x = c.input("u"), p.scan.x_dbl = c.input("x_dbl");
  return c.launch("pm_cuda_block_tail", &pm_cuda_block_tail, &p, c.workspace, nullptr);
}

// u and x_dbl lie in buffers of their own here.
bool block(const Call& c) {
  pm_conv_proj_params conv = conv_of(c, "conv_weight", "conv_bias");
  pm_block_tail_params p = tail_of(c, conv.columns);
  const auto rows = static_cast<size_t>(2 * conv.batch * conv.frames * conv.joints);
  const Buffer u(rows * static_cast<size_t>(conv.channels));
  const Buffer x_dbl(rows * static_cast<size_t>(conv.columns));
  p.scan.x = conv.u = u.data(), p.scan.x_dbl = conv.x_dbl = x_dbl.data();
  return c.launch("pm_cuda_block", &pm_cuda_block, &conv, &p, c.workspace, nullptr) &&
         cudaDeviceSynchronize() == cudaSuccess;
}

constexpr struct {
  const char* op;
  bool (*launch)(const Call&);
} kLaunchers[] = {{"ConvSilu", &conv_silu}, {"GatedNorm", &gated_norm}, {"AddNorm", &add_norm},
                  {"Embed", &embed},        {"ConvProj", &conv_proj},   {"BlockTail", &tail},
                  {"LastBlockTail", &tail}, {"Block", &block},          {"LastBlock", &block}};

}  // namespace

bool launch_directly(const BlockNode& node, const BlockData& data, void* workspace) {
  static void* const library = dlopen(cuda_path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  for (const auto& row : kLaunchers) {
    if (node.op != row.op) continue;
    return row.launch({node, data, library, workspace}) && cudaDeviceSynchronize() == cudaSuccess;
  }
  return false;
}

}  // namespace harness
