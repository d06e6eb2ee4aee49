#include "strait/model/parameter_io.hpp"

#include "strait/io/tensor.hpp"

namespace strait::model {
namespace {

/// Calls visit(info, view) with the view of each parameter in its shape on file.
template <class T, class Visit>
void for_each_tensor(const ParameterLayout& layout, const Vector<T>& flat, const Visit& visit) {
  for (int i = 0; i < static_cast<int>(layout.entries().size()); ++i) {
    const auto& info = layout.entries()[i];
    if (info.one_dimensional()) {
      visit(info, Vector<T>(flat.data() + info.offset, info.columns));
    } else {
      visit(info, layout.view(flat, i));
    }
  }
}

}  // namespace

template <class T>
void save_parameters(const ExecutionSpace& exec, io::Group group, const ParameterLayout& layout,
                     const Vector<T>& flat, const StoredName& stored_name) {
  for_each_tensor(layout, flat, [&](const ParameterInfo& info, const auto& tensor) {
    const std::string name = info.shared ? std::string() : stored_name(info);
    if (!name.empty()) io::write_tensor(group, name, exec, tensor);
  });
}

template <class T>
void load_parameters(const ExecutionSpace& exec, const io::Group& group, const ParameterLayout& layout,
                     const Vector<T>& flat, const StoredName& stored_name) {
  for_each_tensor(layout, flat, [&](const ParameterInfo& info, const auto& tensor) {
    const std::string name = stored_name(info);
    if (name.empty()) return;
    const bool new_anchor = info.role == ParameterRole::anchor && !group.has(name);
    if (!new_anchor) io::read_tensor(group, name, exec, tensor);
  });
}

#define STRAIT_INSTANTIATE(T)                                                                       \
  template void save_parameters<T>(const ExecutionSpace&, io::Group, const ParameterLayout&,        \
                                   const Vector<T>&, const StoredName&);                            \
  template void load_parameters<T>(const ExecutionSpace&, const io::Group&, const ParameterLayout&, \
                                   const Vector<T>&, const StoredName&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::model
