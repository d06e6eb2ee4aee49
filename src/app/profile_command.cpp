#include "strait/app/profile_command.hpp"

#include "strait/app/agreement.hpp"
#include "strait/app/units_text.hpp"
#include "strait/core/communicator.hpp"
#include "strait/core/version.hpp"
#include "strait/pipeline/profiler.hpp"

#include "file_sync.hpp"

#include <filesystem>
#include <fstream>
#include <optional>

namespace strait::app {

namespace {

namespace fs = std::filesystem;

/// The processor's name and what the kernels run on.
std::string hardware() {
  std::ifstream file("/proc/cpuinfo");
  std::string name = "unknown processor";
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    name = line.substr(std::min(line.size(), line.find(':') + 2));
    break;
  }
  return fmt::format("{}, Kokkos {}", name, kokkos_summary());
}

/// A file that takes its name once it is whole.
class PendingFile {
 public:
  explicit PendingFile(const fs::path& path) : path_(path), file_(open(path)) {}

  void save(const pipeline::Profile& profile) {
    profile.save(file_.root());
    file_.close();
    sync_to_disk(partial(path_));
    rename_path(partial(path_), path_);
  }

 private:
  static fs::path partial(fs::path path) { return path += ".partial"; }
  static io::File open(const fs::path& path) {
    if (path.has_parent_path()) make_directories(path.parent_path());
    return io::File::create(partial(path));
  }

  fs::path path_;
  io::File file_;
};

std::string milliseconds(const pipeline::Timing& timing) {
  return fmt::format("{:.3f} ({:.3f} to {:.3f})", 1e3 * timing.median, 1e3 * timing.low, 1e3 * timing.high);
}

/// One line for each kind of layer: blocks are alike.
std::string layers_text(const pipeline::Profile& profile) {
  std::string text =
      fmt::format("{:<20} {:>28} {:>28} {:>28} {:>28} {:>10} {:>10} {:>10}\n", "ms (quartiles)", "forward",
                  "backward, input", "backward, weights", "update per step", "weights", "state", "kept");
  const auto line = [&](const pipeline::LayerProfile& layer, const std::string& name) {
    text += fmt::format("{:<20} {:>28} {:>28} {:>28} {:>28} {:>10} {:>10} {:>10}\n", name,
                        milliseconds(layer.forward), milliseconds(layer.backward_input),
                        milliseconds(layer.backward_weight), milliseconds(layer.update),
                        bytes_text(static_cast<double>(layer.parameter_bytes)),
                        bytes_text(static_cast<double>(layer.state_bytes)),
                        bytes_text(static_cast<double>(layer.activation_bytes)));
  };
  const auto& layers = profile.layers;
  line(layers.front(), "token table");
  line(layers[1], fmt::format("block ({} measured)", profile.blocks_measured));
  line(layers.back(), "head, loss");
  return text;
}

std::string boundary_text(const pipeline::Profile& profile) {
  const auto& boundary = profile.boundary;
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<12} {}\n", name, value);
  };
  line("boundary", fmt::format("{}, {} forward and {} back per micro-batch, {} to synchronise per step",
                               boundary.codec, bytes_text(static_cast<double>(boundary.bytes_forward)),
                               bytes_text(static_cast<double>(boundary.bytes_backward)),
                               bytes_text(boundary.bytes_sync_up + boundary.bytes_sync_down)));
  line("forward", fmt::format("encode {} ms, decode {} ms", milliseconds(boundary.encode),
                              milliseconds(boundary.decode)));
  line("backward", fmt::format("encode {} ms, decode {} ms", milliseconds(boundary.encode_gradient),
                               milliseconds(boundary.decode_gradient)));
  line("per step", fmt::format("update {} ms", milliseconds(boundary.update)));
  if (profile.link.bandwidth == 0.0) {
    line("link", "not measured on one rank");
  } else {
    line("link",
         fmt::format("{}bit/s, {:.1f} us, {}bit/s each way at once: {}", with_prefix(profile.link.bandwidth),
                     1e6 * profile.link.latency, with_prefix(profile.link.bandwidth_both),
                     profile.link.duplex() ? "full duplex" : "shared"));
  }
  return text;
}

}  // namespace

std::string profiled_model(const Settings& settings) {
  const auto& model = settings.model;
  return fmt::format(
      "{} layers, hidden {}, {} heads ({} key-value), ffn {}, vocab {}, context {}, tied {}, {}",
      model.layers, model.hidden, model.heads, model.kv_heads, model.ffn_hidden, model.vocab, model.context,
      model.tie_embeddings, settings.training.precision);
}

template <class T>
ExitCode profile_command(MPI_Comm communicator, const CommandLine& line, const Deck& deck,
                         const Settings& settings, const codec::Codec<T>& codec) {
  const bool is_root = rank_of(communicator) == 0;
  const fs::path path = line.output.value_or(settings.output.directory + "/profile.h5");
  std::optional<PendingFile> file;
  pipeline::PipelineSetup setup;
  agree(communicator, [&] {
    setup = settings.pipeline_setup();
    if (is_root) file.emplace(path);  // one that cannot be written is known before the time is spent
  });
  const ExecutionSpace exec;
  const pipeline::Effort effort{.seconds = line.seconds};
  pipeline::Profile profile;
  profile.deck = deck.effective();
  profile.model = profiled_model(settings);
  profile.hardware = hardware();
  profile.sequences = setup.sequences;
  profile.tokens = std::int64_t{setup.sequences} * setup.model.context;
  agree(communicator, [&] {
    pipeline::measure_layers<T>(exec, setup, effort, profile);
    profile.boundary = pipeline::measure_boundary<T>(exec, setup, codec, effort);
    profile.boundary.codec = deck.table("codec").optional("name", "none", "what crosses a boundary");
  });
  agree(communicator, [&] {  // what it refuses it refuses on all ranks
    profile.link = pipeline::measure_link(exec, communicator, settings.network);
  });
  agree(communicator, [&] {
    if (is_root) file->save(profile);
  });
  if (is_root) {
    fmt::print("{}\n{}\n{}{}profile      {}\n", profile.model, profile.hardware, layers_text(profile),
               boundary_text(profile), path.string());
  }
  return ExitCode::done;
}

template ExitCode profile_command<float>(MPI_Comm, const CommandLine&, const Deck&, const Settings&,
                                         const codec::Codec<float>&);
template ExitCode profile_command<double>(MPI_Comm, const CommandLine&, const Deck&, const Settings&,
                                          const codec::Codec<double>&);

}  // namespace strait::app
