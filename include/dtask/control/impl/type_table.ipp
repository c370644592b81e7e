// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint32_t type_table::acquire(const wire::job_type& what) {
  std::vector<std::uint32_t>& same_name = by_name_[what.name];
  for (const std::uint32_t t : same_name)
    if (types_[t].schema == what.schema) {
      ++types_[t].refs;
      return t;
    }
  if (types_.size() >= limit) {
    if (same_name.empty()) by_name_.erase(what.name);
    return none;
  }
  const std::uint32_t t = types_.insert();
  type_record& r = types_[t];
  r.name = what.name;
  r.schema = what.schema;
  r.signature = what.signature;
  r.refs = 1;
  same_name.push_back(t);
  return t;
}
DTASK_INLINE void type_table::release(std::uint32_t t) {
  type_record& r = types_[t];
  if (--r.refs != 0) return;
  const auto found = by_name_.find(r.name);
  std::erase(found->second, t);
  if (found->second.empty()) by_name_.erase(found);
  types_.erase(t);
}
DTASK_INLINE std::uint32_t type_table::rival(std::uint32_t t) const {
  for (const std::uint32_t other : named(types_[t].name))
    if (other != t && types_[other].workers != 0) return other;
  return none;
}

}  // namespace control
DTASK_END
