#include "strait/pipeline/profile.hpp"

#include <algorithm>
#include <span>
#include <type_traits>

namespace strait::pipeline {
namespace {

constexpr const char* format_name = "strait-profile";
constexpr std::int64_t format_version = 1;
constexpr std::int64_t quartiles = 3;  // median, first and third quartile

// Each calls `visit(member, name, units, long_name)` for every number of its record. A dataset has one row
// per record: [rows] of numbers, [rows, 3] of timings.

template <class Visit>
void each_number(const LayerProfile*, const Visit& visit) {
  using L = LayerProfile;
  visit(&L::forward, "forward", "s", "forward of one micro-batch");
  visit(&L::backward_input, "backward_input", "s", "backward of one micro-batch, the input's half");
  visit(&L::backward_weight, "backward_weight", "s", "backward of one micro-batch, the weights' half");
  visit(&L::update, "update", "s", "norm, optimiser and zeroing of the gradients, per step");
  visit(&L::parameter_bytes, "parameter_bytes", "byte", "weights");
  visit(&L::state_bytes, "state_bytes", "byte", "gradients and state of the optimiser");
  visit(&L::activation_bytes, "activation_bytes", "byte", "kept per micro-batch from forward to backward");
  visit(&L::output_bytes, "output_bytes", "byte", "output of one micro-batch before any codec");
}

template <class Visit>
void each_number(const BoundaryProfile*, const Visit& visit) {
  using B = BoundaryProfile;
  visit(&B::encode, "encode", "s", "activations of one micro-batch, at the sender");
  visit(&B::decode, "decode", "s", "activations of one micro-batch, at the receiver");
  visit(&B::encode_gradient, "encode_gradient", "s", "gradients of one micro-batch, at the receiver");
  visit(&B::decode_gradient, "decode_gradient", "s", "gradients of one micro-batch, at the sender");
  visit(&B::update, "update", "s", "of both ends with their synchronisation, per step");
  visit(&B::bytes_forward, "bytes_forward", "byte", "activations and ids of one micro-batch");
  visit(&B::bytes_backward, "bytes_backward", "byte", "gradients of one micro-batch");
  visit(&B::bytes_sync_up, "bytes_sync_up", "byte", "mean of a step, from the receiver to the sender");
  visit(&B::bytes_sync_down, "bytes_sync_down", "byte", "mean of a step, from the sender to the receiver");
}

template <class Visit>
void each_number(const LinkProfile*, const Visit& visit) {
  using L = LinkProfile;
  visit(&L::bandwidth, "bandwidth", "bit/s", "of one way; 0: not measured");
  visit(&L::latency, "latency", "s", "of an empty message, one way");
  visit(&L::bandwidth_both, "bandwidth_both", "bit/s", "of one way while the other is as busy");
}

template <class Record>
void write(io::Group group, std::span<const Record> records) {
  const auto rows = static_cast<std::int64_t>(records.size());
  each_number(static_cast<const Record*>(nullptr),
              [&]<class V>(V Record::*member, const char* name, const char* units, const char* long_name) {
                if constexpr (std::is_same_v<V, Timing>) {
                  std::vector<double> values;
                  for (const Record& record : records) {
                    const Timing& t = record.*member;
                    values.insert(values.end(), {t.median, t.low, t.high});
                  }
                  group.write(name, values.data(), {rows, quartiles})
                      .describe(units, std::string(long_name) + ": median, first and third quartile");
                } else {
                  std::vector<V> values;
                  for (const Record& record : records) values.push_back(record.*member);
                  group.write(name, values).describe(units, long_name);
                }
              });
}

template <class Record>
void read(const io::Group& group, std::span<Record> records) {
  const auto rows = static_cast<std::int64_t>(records.size());
  each_number(static_cast<const Record*>(nullptr),
              [&]<class V>(V Record::*member, const char* name, const char*, const char*) {
                if constexpr (std::is_same_v<V, Timing>) {
                  std::vector<double> values(rows * quartiles);
                  group.read(name, values.data(), {rows, quartiles});
                  for (std::int64_t i = 0; i < rows; ++i) {
                    records[i].*member = {values[3 * i], values[3 * i + 1], values[3 * i + 2]};
                  }
                } else {
                  std::vector<V> values(rows);
                  group.read(name, values.data(), {rows});
                  for (std::int64_t i = 0; i < rows; ++i) records[i].*member = values[i];
                }
              });
}

void write_names(io::Group group, const std::vector<LayerProfile>& layers) {
  std::vector<std::string> names;
  std::size_t width = 1;
  for (const LayerProfile& layer : layers) {
    names.push_back(layer.name);
    width = std::max(width, layer.name.size());
  }
  auto dataset = group.create_extendible_text("name", std::ssize(names), static_cast<int>(width));
  dataset.resize(std::ssize(names));
  dataset.write_text(names);
  dataset.describe("1", "how the layer's parameters begin");
}

}  // namespace

void Profile::save(const io::Group& group) const {
  ensure(!layers.empty(), "a profile has layers");
  io::Group out = group;
  out.set_attribute("format", format_name);
  out.set_attribute("format_version", format_version);
  out.set_attribute("deck", deck);
  out.set_attribute("model", model);
  out.set_attribute("hardware", hardware);
  out.set_attribute("sequences", sequences);
  out.set_attribute("tokens", tokens);
  out.set_attribute("blocks_measured", blocks_measured);
  out.set_attribute("workspace_bytes", workspace_bytes);

  auto layer_group = out.create_group("layer");
  write_names(layer_group, layers);
  write<LayerProfile>(layer_group, layers);
  auto boundary_group = out.create_group("boundary");
  boundary_group.set_attribute("codec", boundary.codec);
  write<BoundaryProfile>(boundary_group, {&boundary, 1});
  write<LinkProfile>(out.create_group("link"), {&link, 1});
}

Profile Profile::load(const io::Group& group) {
  if (!group.has_attribute("format") || group.attribute<std::string>("format") != format_name ||
      group.attribute<std::int64_t>("format_version") != format_version) {
    fail(ExitCode::io, "{}: is not a {} file of version {}", group.where(), format_name, format_version);
  }
  Profile profile;
  profile.deck = group.attribute<std::string>("deck");
  profile.model = group.attribute<std::string>("model");
  profile.hardware = group.attribute<std::string>("hardware");
  profile.sequences = static_cast<int>(group.attribute<std::int64_t>("sequences"));
  profile.tokens = group.attribute<std::int64_t>("tokens");
  profile.blocks_measured = static_cast<int>(group.attribute<std::int64_t>("blocks_measured"));
  profile.workspace_bytes = group.attribute<std::int64_t>("workspace_bytes");

  const auto layer_group = group.group("layer");
  for (auto& name : layer_group.dataset("name").read_text())
    profile.layers.push_back({.name = std::move(name)});
  if (profile.layers.empty()) fail(ExitCode::io, "{}: is a profile without layers", group.where());
  read<LayerProfile>(layer_group, profile.layers);
  const auto boundary_group = group.group("boundary");
  profile.boundary.codec = boundary_group.attribute<std::string>("codec");
  read<BoundaryProfile>(boundary_group, {&profile.boundary, 1});
  read<LinkProfile>(group.group("link"), {&profile.link, 1});
  return profile;
}

}  // namespace strait::pipeline
