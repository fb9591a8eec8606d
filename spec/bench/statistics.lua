--- Medians and ranges of what the rounds gave.
local M = {}

--- Median, smallest and largest of a list of numbers.
function M.of(list)
  local sorted = {}
  for i, value in ipairs(list) do
    sorted[i] = value
  end
  table.sort(sorted)
  local n = #sorted
  local middle = n % 2 == 1 and sorted[(n + 1) / 2] or (sorted[n / 2] + sorted[n / 2 + 1]) / 2
  return { median = middle, low = sorted[1], high = sorted[n] }
end

--- The list of list[i] combined with other[i].
function M.combine(list, other, fn)
  local out = {}
  for i, value in ipairs(list) do
    out[i] = fn(value, other[i])
  end
  return out
end

local function digits(value)
  local size = math.abs(value)
  return size >= 100 and "%.0f" or size >= 10 and "%.1f" or "%.2f"
end

--- "12.7 [12.5-13.3]"
---@param figure { median: number, low: number, high: number }
function M.text(figure)
  local format = digits(figure.median)
  return (format .. " [" .. format .. "–" .. format .. "]"):format(figure.median, figure.low, figure.high)
end

--- "12.7"
function M.short(value)
  return digits(value):format(value)
end

return M
