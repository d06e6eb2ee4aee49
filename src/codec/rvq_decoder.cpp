#include "rvq_decoder.hpp"

#include "strait/kernels/code_indices.hpp"

namespace strait::codec {

template <class T>
RvqMessage RvqDecoder<T>::decode(const ExecutionSpace& exec, const Context& context, const Message& in,
                                 const Matrix<T>& q) {
  const RvqMessage message = channel_.message(context, published_.started(), published_.next());
  if (context.training) {
    for (int round = 0; round < channel_.options.rounds; ++round) {
      published_.read(exec, in.bytes, message, round);
    }
    published_.advance(exec, in.bytes, message);
  }
  if (message.checksum >= 0 && read_checksum(exec, in.bytes, message.checksum) != published_.checksum(exec)) {
    fail(ExitCode::numerical,
         "strait: boundary {}: the codebooks of the {}s at its two ends differ in step {}: a message or "
         "memory was damaged since they were last compared",
         channel_.boundary, channel_.direction == RvqChannel::Direction::forward ? "activation" : "gradient",
         context.micro_batch / channel_.micro_batches);
  }
  kernels::gather_codewords<T>(exec, q, in.bytes, message.indices, published_.codewords(), channel_.codebook,
                               message.rounds);
  return message;
}

template class RvqDecoder<float>;
template class RvqDecoder<double>;

}  // namespace strait::codec
