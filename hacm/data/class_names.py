"""What the classes of the public data sets are called, in the order of their labels."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(";"))


NTU = _names(
    """
drink water; eat meal; brush teeth; brush hair; drop; pick up; throw; sit down; stand up; clapping;
reading; writing; tear up paper; put on jacket; take off jacket; put on a shoe; take off a shoe;
put on glasses; take off glasses; put on a hat/cap; take off a hat/cap; cheer up; hand waving;
kicking something; reach into pocket; hopping; jump up; phone call; play with phone/tablet;
type on a keyboard; point to something; taking a selfie; check time (from watch); rub two hands;
nod head/bow; shake head; wipe face; salute; put palms together; cross hands in front; sneeze/cough;
staggering; falling down; headache; chest pain; back pain; neck pain; nausea/vomiting; fan self;
punch/slap; kicking; pushing; pat on back; point finger; hugging; giving object; touch pocket;
shaking hands; walking towards; walking apart;
put on headphone; take off headphone; shoot at basket; bounce ball; tennis bat swing;
juggle table tennis ball; hush; flick hair; thumb up; thumb down; make OK sign; make victory sign;
staple book; counting money; cutting nails; cutting paper; snap fingers; open bottle; sniff/smell;
squat down; toss a coin; fold paper; ball up paper; play magic cube; apply cream on face;
apply cream on hand; put on bag; take off bag; put object into bag; take object out of bag;
open a box; move heavy objects; shake fist; throw up cap/hat; capitulate; cross arms; arm circles;
arm swings; run on the spot; butt kicks; cross toe touch; side kick; yawn; stretch oneself;
blow nose; hit with object; wield knife; knock over; grab stuff; shoot with gun; step on foot;
high-five; cheers and drink; carry object; take a photo; follow; whisper; exchange things;
support somebody; rock-paper-scissors
"""
)

PKUMMD = _names(
    """
bow; brushing hair; brushing teeth; check time (from watch); cheer up; clapping;
cross hands in front (say stop); drink water; drop; eat meal/snack; falling;
giving something to other person; hand waving; handshaking; hopping (one foot jumping);
hugging other person; jump up; kicking other person; kicking something;
make a phone call/answer phone; pat on back of other person; pickup; playing with phone/tablet;
point finger at the other person; pointing to something with finger;
punching/slapping other person; pushing other person; put on a hat/cap;
put something inside pocket; reading; rub two hands together; salute; sitting down; standing up;
take off a hat/cap; take off glasses; take off jacket; take out something from pocket;
taking a selfie; tear up paper; throw; touch back (backache); touch chest (stomachache/heart pain);
touch head (headache); touch neck (neckache); typing on a keyboard;
use a fan (with hand or paper)/feeling warm; wear jacket; wear on glasses; wipe face; writing
"""
)

UTD_MHAD = _names(
    """
swipe left; swipe right; wave; clap; throw; arm cross; basketball shoot; draw x;
draw circle (clockwise); draw circle (counter clockwise); draw triangle; bowling; boxing;
baseball swing; tennis swing; arm curl; tennis serve; push; knock; catch; pick up and throw; jog;
walk; sit to stand; stand to sit; lunge; squat
"""
)

WMFT = _names(
    """
Forearm to table; Forearm to Box; Extend Elbow 1; Extend Elbow 2; Hand to the Table;
Hand to the Box; Reach and Retrieve; Lift a can; Lift a Pencil; Lift a Paper Clip; Stack Checkers;
Flip Cards; Turn Key; Fold Towel; Lift Baskets
"""
)

# By number in the file names a01 ... a12, where 7 and 10 do not occur.
NWUCLA = {
    1: "pick up with one hand",
    2: "pick up with two hands",
    3: "drop trash",
    4: "walk around",
    5: "sit down",
    6: "stand up",
    8: "donning",
    9: "doffing",
    11: "throw",
    12: "carry",
}
