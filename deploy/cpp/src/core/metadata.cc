#include "core/metadata.h"

#include "core/failure.h"
#include "formats/keypoints.h"

namespace posemamba::runtime {
namespace {

void check_normalisation(const std::string& path, const std::string& found) {
  if (found.empty() || found == kNormalisation) return;
  fail(PM_MISMATCH,
       "'%s' was made for another normalisation ('%.80s') than this library's: use the release "
       "that belongs to the exporter",
       path.c_str(), found.c_str());
}

void check_joints(const std::string& path, const Json& names) {
  bool same = names.kind == Json::Kind::kArray && names.items.size() == kJoints;
  for (size_t i = 0; same && i < kJoints; ++i) same = names.items[i].text() == kJointNames[i];
  if (same) return;
  fail(
      PM_MISMATCH,
      "'%s' has another order of joints than the 17 of Human3.6M that this library knows: export a "
      "model of those joints",
      path.c_str());
}

void check_schema(const std::string& path, const Json& version) {
  const long long found = version.whole(0, 1000000, -1);
  if (found == kSchemaVersion) return;
  fail(PM_MISMATCH,
       "'%s' has metadata of schema %lld, this library reads %d: update it, or export "
       "the model again",
       path.c_str(), found, kSchemaVersion);
}

int64_t frames_of(const std::string& path, const Json& value) {
  const long long frames = value.whole(1, kMostFrames, 0);
  if (frames == 0) {
    fail(PM_BAD_MODEL, "'%s' says that it takes no frames (max_frames): export it again",
         path.c_str());
  }
  return frames;
}

}  // namespace

int64_t read_metadata(const std::string& path, const MetadataLookup& lookup, ModelFacts& facts) {
  const auto json = [&](const char* key, const std::string& value) {
    const std::string label = "metadata '" + std::string(key) + "' of '" + path + "'";
    return parse_json(value, label.c_str());
  };
  const auto text_of = [&](const char* key) {
    return lookup((std::string("posemamba.") + key).c_str());
  };
  if (const std::string value = text_of("schema_version"); !value.empty()) {
    check_schema(path, json("schema_version", value));
  }
  check_normalisation(path, text_of("normalisation"));
  if (const std::string value = text_of("joint_names"); !value.empty()) {
    check_joints(path, json("joint_names", value));
  }
  facts.precision = text_of("precision");
  facts.variant = text_of("variant");
  facts.scan_order = text_of("scan_order");
  facts.ops = text_of("ops");
  facts.tool_version = text_of("tool_version");
  facts.checkpoint = text_of("checkpoint");
  const std::string frames = text_of("max_frames");
  return frames.empty() ? 0 : frames_of(path, json("max_frames", frames));
}

EngineFacts read_sidecar(const std::string& label, std::string_view source, ModelFacts& facts) {
  const std::string quoted_label = "'" + label + "'";
  const Json sidecar = parse_json(source, quoted_label.c_str());
  const auto value = [&](std::initializer_list<std::string_view> path) {
    const Json* found = sidecar.find(path);
    return found == nullptr ? std::string() : found->text();
  };
  const Json* version = sidecar.find("schema_version");
  if (version == nullptr || sidecar.find({"engine", "sha256"}) == nullptr) {
    fail(PM_BAD_MODEL, "'%s' is no sidecar of 'pmexport trt': remove it, or build the engine again",
         label.c_str());
  }
  check_schema(label, *version);
  EngineFacts engine;
  engine.sha256 = value({"engine", "sha256"});
  engine.flavour = value({"tensorrt", "flavour"});
  engine.tensorrt = value({"tensorrt", "version"});
  engine.plugin_version = value({"plugin", "version"});
  if (const Json* targets = sidecar.find("targets"); targets != nullptr) {
    for (const Json& target : targets->items) engine.targets.push_back(target.text());
  }
  if (const Json* compat = sidecar.find({"options", "version_compat"}); compat != nullptr) {
    engine.version_compatible = compat->truth;
  }
  engine.hardware_compatible = !value({"options", "hardware_compat"}).empty();
  facts.precision = value({"precision", "got"});
  facts.variant = value({"model", "variant"});
  facts.scan_order = value({"model", "scan_order"});
  facts.tool_version = value({"tool", "version"});
  facts.checkpoint = value({"model", "checkpoint"});
  check_normalisation(label, value({"model", "normalisation"}));
  if (const Json* names = sidecar.find({"model", "joint_names"}); names != nullptr) {
    check_joints(label, *names);
  }
  if (const Json* frames = sidecar.find({"model", "max_frames"}); frames != nullptr) {
    engine.max_frames = frames_of(label, *frames);
  }
  return engine;
}

}  // namespace posemamba::runtime
