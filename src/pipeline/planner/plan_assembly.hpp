#pragma once
// A plan that was found, with its prices.

#include "plan_search.hpp"

namespace strait::pipeline {

Plan assemble(const PlanTask& task, const PlanCosts& costs, const PlanParts& parts);

}  // namespace strait::pipeline
