// Rows of the op table for engine/ops/embedding.h.
#include <algorithm>

#include "engine/cases/case.h"
#include "engine/ops/embedding.h"

namespace engine {

void add_embedding_cases(std::vector<OpCase>& cases) {
  struct Sizes {
    Shape ids;
    int64_t rows, d;
  };
  // Few rows and many ids: repeated ids; many rows: rows without an id. 523 columns: more than one piece.
  for (const auto& s :
       {Sizes{{2, 5}, 3, 8}, Sizes{{7}, 31, 13}, Sizes{{1}, 1, 1}, Sizes{{0, 3}, 4, 2}, Sizes{{2}, 2, 523}})
    cases.push_back(
        {.op = "embedding",
         .node = "embedding",
         .detail = join_text("ids ", s.ids, ", table [", s.rows, ", ", s.d, "]"),
         .inputs = {{.name = "ids", .shape = s.ids, .draw = Draw::ids, .limit = s.rows},
                    {"weight", {s.rows, s.d}}},
         .run = [](const auto& t) { return std::vector{embedding(t[0], t[1], 1.5, t[1].dtype())}; },
         .reference =
             [s](const auto& t) {
               Shape shape = s.ids;
               shape.append(s.d);
               HostTensor y(shape);
               for (int64_t i = 0; i < s.ids.numel(); ++i)
                 for (int64_t j = 0; j < s.d; ++j)
                   y.row(i)[j] = 1.5 * t[1].row(int64_t(t[0].v[size_t(i)]))[j];
               return std::vector{y};
             },
         .reduction = std::max<int64_t>(s.ids.numel(), 1)});
}

}  // namespace engine
