/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of model.c for Spin, which does the search: what a thread does is compiled C (spin.h), what Spin sees of a
 * state is struct spin_state. Spin itself reports a member that is asleep with nobody left to wake it (an
 * invalid end state), members that go round for ever (with -a -f: the claim, under weak fairness), and what a step
 * found wrong (the assertion).
 */
c_decl {
    \#include "spin.h"
}
c_track "&spin" "sizeof spin" "Matched"

int done;
byte begun;

proctype member(int self) {
    do
    :: atomic {
           c_expr { spin.ready[Pmember->self] } -> c_code { spin_step(Pmember->self, 0); };
           do
           :: c_expr { spin.choices > 0 } -> c_code { spin_step(Pmember->self, 0); }
           :: c_expr { spin.choices > 1 } -> c_code { spin_step(Pmember->self, 1); }
           :: c_expr { spin.choices > 2 } -> c_code { spin_step(Pmember->self, 2); }
           :: c_expr { spin.choices > 3 } -> c_code { spin_step(Pmember->self, 3); }
           :: c_expr { spin.choices > 4 } -> c_code { spin_step(Pmember->self, 4); }
           :: c_expr { spin.choices > 5 } -> c_code { spin_step(Pmember->self, 5); }
           :: c_expr { spin.choices > 6 } -> c_code { spin_step(Pmember->self, 6); }
           :: c_expr { spin.choices > 7 } -> c_code { spin_step(Pmember->self, 7); }
           :: c_expr { !spin.choices } -> break
           od;
           assert(c_expr { !spin.wrong })
       }
    :: atomic { c_expr { spin.done[Pmember->self] } -> done++; break }
    od
}

init {
    atomic {
        c_code { spin_begin(); };
        do
        :: c_expr { now.begun < spin.threads } -> run member(begun); begun++
        :: c_expr { now.begun == spin.threads } -> break
        od
    }
}

#ifdef ENDS
ltl ends { <> c_expr { spin.threads && now.done == spin.threads } }
#endif
