"""Forms of the admin, holding to the same rules as the catalog file."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils import timezone

from catalog import units
from catalog.file.providers import is_base_url
from catalog.models import PriceComponent, PriceVersion, Provider

if TYPE_CHECKING:
    ProviderBase = forms.ModelForm[Provider]
    VersionBase = forms.ModelForm[PriceVersion]
    ComponentBase = forms.ModelForm[PriceComponent]
    ComponentsBase = BaseInlineFormSet[PriceComponent, PriceVersion, ComponentBase]
else:  # the real classes take no type parameters
    ProviderBase = VersionBase = ComponentBase = forms.ModelForm
    ComponentsBase = BaseInlineFormSet


class ProviderForm(ProviderBase):
    protocol = forms.ChoiceField(choices=[(name, name) for name in units.PROTOCOLS])
    new_keys = forms.CharField(
        required=False,
        strip=True,
        widget=forms.Textarea(
            attrs={
                "rows": 2,
                "autocomplete": "off",
                "spellcheck": "false",
                "class": "vLargeTextField",
            }
        ),
        label="New keys",
        help_text="One a line; they replace the stored ones. Empty: the stored ones stay. They are"
        " encrypted and never shown again.",
    )

    class Meta:
        model = Provider
        fields = "__all__"

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not units.PROVIDER_NAME.fullmatch(name):
            raise ValidationError("Lower-case letters, digits, - and _.")
        return name

    def clean_base_url(self) -> str:
        url: str = self.cleaned_data["base_url"].rstrip("/")
        if url and not is_base_url(url):
            raise ValidationError("http(s)://host/path, without user, query and fragment.")
        return url

    def clean_auth(self) -> str:
        auth: str = self.cleaned_data["auth"]
        if auth and not units.AUTH.fullmatch(auth):
            raise ValidationError(
                "bearer, x-api-key, x-goog-api-key, xi-api-key, api-key, query:NAME, none,"
                " or empty."
            )
        return auth

    def clean_new_keys(self) -> tuple[str, ...]:
        keys = self.cleaned_data["new_keys"].split()
        if not all(key.isascii() and key.isprintable() for key in keys):
            raise ValidationError("Keys are printable ASCII.")
        return tuple(dict.fromkeys(keys))

    def clean_query(self) -> dict[str, str]:
        return _texts(self.cleaned_data["query"])

    def clean_headers(self) -> dict[str, str]:
        return _texts(self.cleaned_data["headers"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("enabled") and cleaned.get("protocol") not in units.SPOKEN:
            self.add_error("protocol", "Not spoken by this version: keep the provider disabled.")
        if cleaned.get("enabled") and not cleaned.get("base_url"):
            self.add_error("base_url", "An enabled provider needs an address.")
        return cleaned


def _texts(value: object) -> dict[str, str]:
    """A JSON object of texts on one line."""
    if not value:
        return {}
    if isinstance(value, dict) and all(
        isinstance(text, str) and text.isprintable() and name.isprintable()
        for name, text in value.items()
    ):
        return value
    raise ValidationError('An object of texts, such as {"api-version": "2024-10-21"}.')


class PriceVersionForm(VersionBase):
    effective_from = forms.SplitDateTimeField(
        required=False,
        widget=forms.SplitDateTimeWidget,
        help_text="UTC. Empty, or a time that has passed: from now.",
    )

    class Meta:
        model = PriceVersion
        fields = ("model", "effective_from", "source")

    def clean_effective_from(self) -> object:
        return self.cleaned_data["effective_from"] or timezone.now()


class ComponentForm(ComponentBase):
    cost_price = forms.DecimalField(
        required=False, max_digits=24, decimal_places=12, min_value=0, help_text="What it costs us."
    )
    variant = forms.JSONField(
        required=False, initial=dict, widget=forms.TextInput, help_text='{"service_tier": "flex"}'
    )

    class Meta:
        model = PriceComponent
        fields = ("unit", "sell_price", "cost_price", "tier_start", "variant")

    def clean_cost_price(self) -> Decimal:
        cost: Decimal | None = self.cleaned_data["cost_price"]
        return cost if cost is not None else Decimal(0)

    def clean_variant(self) -> dict[str, str]:
        fields = _texts(self.cleaned_data["variant"])
        if fields and units.variant(units.variant_name(fields)) != fields:
            raise ValidationError(
                '{"service_tier": "flex"} or {"size": "1024x1024", "quality": "hd"}.'
            )
        return fields

    def save(self, commit: bool = True) -> PriceComponent:
        self.instance.per = units.PER[self.instance.unit]
        return super().save(commit)


class Components(ComponentsBase):
    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        base = {
            form.cleaned_data["unit"]
            for form in self.forms
            if form.cleaned_data
            and not form.cleaned_data.get("DELETE")
            and not form.cleaned_data["tier_start"]
            and not form.cleaned_data["variant"]
        }
        model = getattr(self.instance, "model", None) if self.instance.model_id else None
        missing = units.missing(model.type if model else "chat", base)
        if missing or not base:
            raise ValidationError(f"A price is missing for: {missing or 'anything'} (free is 0).")
