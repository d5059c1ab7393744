"""Writes workspace/docs/invoice-2024-117.pdf, a one-page invoice, with nothing but Python.

python examples/goals/make_documents.py
"""

from pathlib import Path

INVOICE = Path(__file__).parent / "workspace" / "docs" / "invoice-2024-117.pdf"

LINES = """\
Officina Telai srl
Via dei Mulini 8, 40126 Bologna

INVOICE 2024-117                                    Date: 2024-03-04

To: Spoke & Chain, Harbour Street 21

Description                          Quantity    Price EUR    Sum EUR
Steel frame, size 54                        2       310.00     620.00
Steel frame, size 58                        1       310.00     310.00
Fork, straight                              3        65.00     195.00
Delivery                                    1        55.00      55.00

Net amount                                                    1180.00
VAT 22 %                                                       259.60
Total to pay                                                  1439.60

Payable by 2024-04-03. Thank you for your order.
"""


def pdf(text: str) -> bytes:
    """A one-page PDF that shows `text` line by line in a typewriter face."""
    shown = " ".join(f"({_escaped(line)}) Tj T*" for line in text.splitlines())
    stream = f"BT /F1 10 Tf 14 TL 60 780 Td {shown} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>",
    ]
    body, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    ending = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{ending}".encode("ascii")


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


if __name__ == "__main__":
    INVOICE.write_bytes(pdf(LINES))
