#include "strait/model/stage.hpp"

#include "strait/kernels/rounding.hpp"
#include "strait/model/initialisation.hpp"

#include "stage_layers.hpp"

#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace strait::model {
namespace {

/// Random streams of the rounding of weights, one per version.
constexpr std::uint64_t rounding_streams = 0x726f756e64000000ull;

/// Refuses shapes that no stage can have.
template <class T>
void check_stage(const LlamaConfig& config, const StageSpan& span, const StageOptions& options) {
  ensure(0 <= span.first_layer && span.first_layer < span.last_layer && span.last_layer <= config.layers,
         "a stage without layers, or with layers that the model lacks");
  ensure(options.sequences > 0 && options.slots > 0, "a stage without room for a micro-batch");
  ensure(!options.bfloat16 || std::is_same_v<T, float>, "bfloat16 is computed with in float");
  if (options.recompute && options.split_backward) {
    fail(ExitCode::deck,
         "[training] recompute: is true, expected false with a schedule that splits the backward pass: what "
         "the second half needs is what recomputation would drop");
  }
}

/// Bytes of weights, of the copy that layers read, and of gradients.
template <class T>
std::int64_t bytes_of_parameters(const ParameterLayout& layout, const StageOptions& options) {
  const std::int64_t trained = 2 * layout.size() * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t rounded = options.bfloat16 ? layout.model_size() : 0;
  return trained + rounded * static_cast<std::int64_t>(sizeof(bfloat16));
}

/// What of a version layers read that keep numbers as S.
template <class S, class T>
const Vector<S>& read_by_layers(const Weights<T>& weights) {
  if constexpr (std::is_same_v<S, T>) {
    ensure(weights.rounded.extent(0) == 0 && weights.first == 0, "weights of layers in full precision");
    return weights.full;
  } else {
    ensure(weights.rounded.extent(0) > 0, "rounded weights of layers in bfloat16");
    return weights.rounded;
  }
}

}  // namespace

template <class T>
struct Stage<T>::Implementation {
  using Layers =
      std::conditional_t<std::is_same_v<T, float>, std::variant<StageLayers<float>, StageLayers<bfloat16>>,
                         std::variant<StageLayers<T>>>;

  Implementation(const ExecutionSpace& exec_, const LlamaConfig& config_, const StageSpan& span_,
                 const StageOptions& options_)
      : exec(exec_),
        config(config_),
        span((check_stage<T>(config_, span_, options_), span_)),
        options(options_),
        parameters(config, span, options.add_parameters),
        weights(Vector<T>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::model::weights"),
                          parameters.layout().size())),
        gradients("strait::model::gradients", parameters.layout().size()),
        layers(make_layers()) {
    if (options.bfloat16) {
      weights.rounded =
          Vector<bfloat16>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::model::working_weights"),
                           parameters.layout().model_size());
    }
    initialise<T>(exec, weights.full, parameters.layout(), config.layers, options.seed);
    round_weights(0);
  }

  Layers make_layers() const {
    if constexpr (std::is_same_v<T, float>) {
      if (options.bfloat16) {
        return Layers(std::in_place_type<StageLayers<bfloat16>>, exec, config, span, options, parameters,
                      gradients);
      }
    }
    return Layers(std::in_place_type<StageLayers<T>>, exec, config, span, options, parameters, gradients);
  }

  void round_weights(std::int64_t version) {
    if constexpr (std::is_same_v<T, float>) {
      if (!options.bfloat16) return;
      const auto part = [](const auto& flat, std::int64_t begin, std::int64_t size) {
        return Kokkos::subview(flat, std::make_pair(begin, begin + size));
      };
      if (!options.stochastic_rounding) {
        const std::int64_t size = parameters.layout().model_size();
        kernels::round_to_nearest(exec, weights.rounded, part(weights.full, 0, size));
        return;
      }
      for (const ParameterInfo& info : parameters.layout().entries()) {
        if (info.role == ParameterRole::anchor) continue;
        kernels::round_stochastically(exec, part(weights.rounded, info.offset, info.size()),
                                      part(weights.full, info.offset, info.size()),
                                      options.seed ^ random_stream(info.name),
                                      rounding_streams + static_cast<std::uint64_t>(version));
      }
    }
  }

  /// Calls use(layers).
  template <class Use>
  decltype(auto) with_layers(const Use& use) {
    return std::visit(use, layers);
  }
  /// Calls use(layers, weights).
  template <class Use>
  decltype(auto) with_layers(const Weights<T>& version, const Use& use) {
    return std::visit(
        [&]<class S>(StageLayers<S>& own) -> decltype(auto) { return use(own, read_by_layers<S>(version)); },
        layers);
  }

  ExecutionSpace exec;
  LlamaConfig config;
  StageSpan span;
  StageOptions options;
  LlamaParameters parameters;
  Weights<T> weights;
  Vector<T> gradients;
  Layers layers;
};

template <class T>
Stage<T>::Stage(const ExecutionSpace& exec, const LlamaConfig& config, const StageSpan& span,
                const StageOptions& options)
    : implementation_(std::make_unique<Implementation>(exec, config, span, options)) {}

template <class T>
Stage<T>::~Stage() = default;

template <class T>
Stage<T>::Stage(Stage&&) noexcept = default;

template <class T>
const LlamaConfig& Stage<T>::config() const {
  return implementation_->config;
}

template <class T>
const StageSpan& Stage<T>::span() const {
  return implementation_->span;
}

template <class T>
const ParameterLayout& Stage<T>::layout() const {
  return implementation_->parameters.layout();
}

template <class T>
std::int64_t Stage<T>::tokens() const {
  return std::int64_t{implementation_->options.sequences} * implementation_->config.context;
}

template <class T>
const Vector<T>& Stage<T>::weights() const {
  return implementation_->weights.full;
}

template <class T>
const Weights<T>& Stage<T>::working_weights() const {
  return implementation_->weights;
}

template <class T>
void Stage<T>::round_weights(std::int64_t version) {
  implementation_->round_weights(version);
}

template <class T>
const Vector<T>& Stage<T>::gradients() const {
  return implementation_->gradients;
}

template <class T>
MutableTokenIds Stage<T>::ids(int slot) const {
  return implementation_->with_layers([&](auto& layers) { return layers.ids(slot); });
}

template <class T>
MutableTokenIds Stage<T>::targets(int slot) const {
  ensure(implementation_->span.has_head, "targets of a stage without the head");
  return implementation_->with_layers([&](auto& layers) { return layers.targets(slot); });
}

template <class T>
Matrix<T> Stage<T>::input(int slot) const {
  return implementation_->with_layers([&](auto& layers) { return layers.input(slot); });
}

template <class T>
Matrix<T> Stage<T>::kept_input(int slot) const {
  return implementation_->with_layers([&](auto& layers) { return layers.kept_input(slot); });
}

template <class T>
Matrix<T> Stage<T>::output(int slot) const {
  return implementation_->with_layers([&](auto& layers) { return layers.output(slot); });
}

template <class T>
Vector<T> Stage<T>::kept(int slot) const {
  return implementation_->with_layers([&](auto& layers) { return layers.kept(slot); });
}

template <class T>
Matrix<T> Stage<T>::output_gradient() const {
  return implementation_->with_layers([](auto& layers) { return layers.output_gradient(); });
}

template <class T>
Matrix<T> Stage<T>::input_gradient() const {
  return implementation_->with_layers([](auto& layers) { return layers.input_gradient(); });
}

template <class T>
void Stage<T>::forward(int slot, const Weights<T>& weights) {
  implementation_->with_layers(weights, [&](auto& layers, const auto& flat) { layers.forward(slot, flat); });
}

template <class T>
double Stage<T>::evaluate(int slot, const Weights<T>& weights) {
  ensure(implementation_->span.has_head, "evaluation on a stage without the head");
  return implementation_->with_layers(
      weights, [&](auto& layers, const auto& flat) { return layers.evaluate(slot, flat); });
}

template <class T>
Matrix<T> Stage<T>::logits(int slot, std::int64_t position, const Weights<T>& weights) {
  ensure(implementation_->span.has_head, "logits of a stage without the head");
  ensure(0 <= position && position < implementation_->config.context,
         "logits of a position outside the context");
  return implementation_->with_layers(
      weights, [&](auto& layers, const auto& flat) { return layers.logits(slot, position, flat); });
}

template <class T>
void Stage<T>::backward(int slot, const Weights<T>& weights, double loss_scale) {
  ensure(!implementation_->options.split_backward, "a fused backward on a stage built for a split one");
  implementation_->with_layers(
      weights, [&](auto& layers, const auto& flat) { layers.backward(slot, flat, loss_scale); });
}

template <class T>
void Stage<T>::backward_input(int slot, const Weights<T>& weights, double loss_scale) {
  ensure(implementation_->options.split_backward, "a split backward on a stage built for a fused one");
  implementation_->with_layers(
      weights, [&](auto& layers, const auto& flat) { layers.backward_input(slot, flat, loss_scale); });
}

template <class T>
void Stage<T>::backward_weight(int slot) {
  implementation_->with_layers([&](auto& layers) { layers.backward_weight(slot); });
}

template <class T>
double Stage<T>::take_loss() {
  return implementation_->with_layers([](auto& layers) { return layers.take_loss(); });
}

template <class T>
std::int64_t Stage<T>::activation_bytes() const {
  return implementation_->with_layers([](auto& layers) { return layers.bytes(); });
}

template <class T>
std::int64_t Stage<T>::parameter_bytes() const {
  return bytes_of_parameters<T>(layout(), implementation_->options);
}

template <class T>
std::int64_t Stage<T>::bytes_needed(const LlamaConfig& config, const StageSpan& span,
                                    const StageOptions& options) {
  check_stage<T>(config, span, options);
  const LlamaParameters parameters(config, span, options.add_parameters);
  return bytes_of_parameters<T>(parameters.layout(), options) +
         (options.bfloat16 ? StageLayers<bfloat16>::bytes_needed(config, span, options)
                           : StageLayers<T>::bytes_needed(config, span, options));
}

ParameterLayout stage_layout(const LlamaConfig& config, const StageSpan& span,
                             const std::function<void(ParameterLayout&)>& add_parameters) {
  return LlamaParameters(config, span, add_parameters).layout();
}

template class Stage<float>;
template class Stage<double>;

}  // namespace strait::model
